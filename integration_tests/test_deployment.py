"""docs/deployment: manifests fit Kubernetes' schema, commands fit the programs' own parsers."""

from __future__ import annotations

import re
import shlex
from argparse import ArgumentParser
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from vllm_router.launch_router import parse_router_args

from temperament.presets import Catalogue
from temperament.server import settings

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = [DOCS / "deployment.md", DOCS / "deployment.zh-CN.md"]
MANIFESTS = sorted((DOCS / "deployment").glob("*.yaml"))
KUBERNETES = "1.37"
NOT_CHECKED = ("ray start ", "curl ")


def lines(page: Path) -> list[str]:
    """The lines of shell on a page."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def documents(manifest: Path) -> list[dict[str, Any]]:
    """The Kubernetes objects of a manifest."""
    return list(yaml.safe_load_all(manifest.read_text(encoding="utf-8")))


def containers(manifest: Path) -> Iterator[dict[str, Any]]:
    """The containers in the pod templates of a manifest."""
    for document in documents(manifest):
        yield from (
            document["spec"]["template"]["spec"]["containers"]
            if "template" in document.get("spec", {})
            else ()
        )


def commands(manifest: Path) -> Iterator[list[str]]:
    """The commands of a manifest's containers; of a shell script, its last program."""
    for container in containers(manifest):
        arguments = [*container["command"], *container["args"]]
        if arguments[:2] == ["sh", "-c"]:
            script = arguments[2].partition("exec ")[2]
            values = {"$RANK": "0", "$headless": "--headless", "$NAMESPACE": "default"}
            arguments = [values.get(word, word) for word in shlex.split(script)]
        yield arguments


@cache
def serve_parser() -> ArgumentParser:
    """vLLM's own parser of `vllm serve`."""
    from vllm.entrypoints.cli.serve import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser: ArgumentParser = make_arg_parser(FlexibleArgumentParser())
    return parser


def check(arguments: list[str]) -> None:
    """Exits if the program's parser doesn't know an argument."""
    arguments = [word for word in arguments if not re.fullmatch(r"[A-Z_]+=\S+", word)]
    if arguments[:2] == ["vllm", "serve"]:
        serve_parser().parse_args(arguments[2:])
    else:
        assert "vllm-router" == arguments[0], arguments
        parse_router_args(arguments[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_known(page: Path) -> None:
    """The programs' parsers accept each command of the page but Ray's, which isn't installed."""
    checked = [line for line in lines(page) if not line.startswith(NOT_CHECKED)]
    for line in checked:
        check(shlex.split(line))

    assert len(checked) >= 10


def test_an_unknown_word_is_noticed() -> None:
    """A command with a misspelt argument fails the check."""
    for arguments in (
        ["vllm", "serve", "M", "--tensor-parallel", "x"],
        ["vllm-router", "--polcy", "x"],
    ):
        with pytest.raises(SystemExit):
            check(arguments)


def test_both_languages_show_the_same_commands() -> None:
    """Both languages show the same lines."""
    assert lines(PAGES[0]) == lines(PAGES[1])


def test_every_file_is_told_of() -> None:
    """The pages link each file of the deployment folder, and no others."""
    names = {path.name for path in (DOCS / "deployment").iterdir()}
    for page in PAGES:
        assert names == set(re.findall(r"\(deployment/([^)]+)\)", page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
class TestManifests:
    """Each manifest is checked without a cluster."""

    def test_it_fits_the_schema(self, manifest: Path) -> None:
        """Kubernetes' schema accepts each object, and knows each of its fields."""
        for document in documents(manifest):
            kubernetes_validate.validate(document, KUBERNETES, strict=True)

    def test_a_misspelt_word_does_not_fit(self, manifest: Path) -> None:
        """A manifest with a misspelt field fails the check."""
        document = {**documents(manifest)[0], "metdata": {}}
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(document, KUBERNETES, strict=True)

    def test_its_programs_know_their_words(self, manifest: Path) -> None:
        """The programs' parsers accept the arguments of the containers."""
        for arguments in commands(manifest):
            check(arguments)

    def test_what_is_named_is_there(self, manifest: Path) -> None:
        """Selectors find their pods, mounts their volumes, volumes their ConfigMaps."""
        every = documents(manifest)
        labels = [
            one["spec"]["template"]["metadata"]["labels"]
            for one in every
            if "template" in one.get("spec", {})
        ]
        maps = {one["metadata"]["name"] for one in every if one["kind"] == "ConfigMap"}
        for one in every:
            selector = one.get("spec", {}).get("selector")
            if selector:
                assert selector.get("matchLabels", selector) in labels
            if "template" in one.get("spec", {}):
                pod = one["spec"]["template"]["spec"]
                volumes = {volume["name"] for volume in pod.get("volumes", ())}
                mounts = {m["name"] for c in pod["containers"] for m in c.get("volumeMounts", ())}
                assert mounts == volumes
                used = {v["configMap"]["name"] for v in pod.get("volumes", ()) if "configMap" in v}
                assert used == maps


def test_the_presets_of_the_manifest_are_good(tmp_path: Path) -> None:
    """The presets of the manifest load, and the server's options name one of them."""
    [presets] = [one for one in documents(DOCS / "deployment" / "server.yaml") if "data" in one]
    for name, text in presets["data"].items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    catalogue = Catalogue.load([tmp_path])
    [arguments] = commands(DOCS / "deployment" / "server.yaml")
    parsed = serve_parser().parse_args(arguments[2:])
    chosen = settings.read(parsed.additional_config)

    assert ["/presets"] == [*map(str, chosen.presets)]
    assert chosen.default is not None
    assert 0.95 == catalogue.resolve(chosen.default).values["top_p"]
