"""Paths in list items, table cells and fields: `src/a.py` (new), Create: `src/b.py`, `/models/c.py - the models`.

What it does: finds the paths that a short text begins with, and tells from its first word whether they are written,
only read, or taken away.
What it does not know: whether such a file exists, and whether it lies inside the workspace (a check tells).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from wavecrew.plans.markdown import link_targets, without_checkbox
from wavecrew.plans.wordlists import words


class Use(Enum):
    """What a phase does with a file."""

    WRITES = "writes"
    READS = "reads"
    REMOVES = "removes"


_WORDS: Final = {
    Use.WRITES: "create creates created new add adds added modify modifies modified update updates updated edit edits"
    " change changes changed write writes extend extends refactor rewrite implement implements generate generates"
    " output outputs produce produces touch patch replace enhance enhanced a m + ~"
    " 新建 新增 创建 修改 更新 编辑 생성 추가 수정 변경 作成 追加 変更 更新 neu ändern anlegen erstellen anpassen"
    " créer modifier ajouter crear modificar añadir actualizar criar adicionar atualizar создать изменить обновить"
    " добавить",
    Use.READS: "import imports read reads reference references reuse reuses use uses using consult see review inspect"
    " input"
    " inputs context depends follow copy-from unchanged existing 参考 读取 引用 참고 참조 읽기 参照 lesen nutzen lire"
    " leer ler читать",
    Use.REMOVES: "delete deletes deleted remove removes removed drop d - 删除 移除 삭제 제거 削除 löschen entfernen"
    " supprimer eliminar borrar remover удалить",
}
_USES: Final = {word: use for use, words in _WORDS.items() for word in words.split()}
_FILLERS: Final = words(
    "a an the file files module script config configuration test tests component existing only new in to into at"
    " directory"
    " folder following both read-only or all 文件 目录 파일 ファイル datei fichier archivo arquivo файл"
)
_LONGEST: Final = 2000
_WORD: Final = re.compile(r"[^\s`:：,|]{1,40}")
_CODE: Final = re.compile(r"`{1,2}([^`\n]{1,400})`{1,2}")
_NAMES: Final = words(
    "Makefile Dockerfile Containerfile LICENSE README CHANGELOG Procfile Gemfile Rakefile Justfile Jenkinsfile"
    " Vagrantfile"
    " CODEOWNERS NOTICE AUTHORS .gitignore .dockerignore .env .editorconfig"
)
_EXTENSION: Final = re.compile(r"\.[A-Za-z][A-Za-z0-9_]{0,11}$")
_POSITION: Final = re.compile(r"(?::\d{1,6}(?:[-:,]\d{1,6})*|#L\d{1,6}(?:-L?\d{1,6})?)$")
_FOREIGN: Final = re.compile(r"[\s()<>\"'=;|&!^`]")
_BRACES: Final = re.compile(r"\{([^{}]{1,200})\}")
_SYSTEM: Final = ("etc", "usr", "var", "tmp", "home", "opt", "root", "dev", "proc", "sys", "mnt", "Users")
_MAX_BRACES: Final = 32


@dataclass(frozen=True, slots=True)
class Mention:
    """Paths at the beginning of a text. `use` is None when no word tells what is done with them."""

    paths: tuple[str, ...]
    use: Use | None


def use_of(word: str) -> Use | None:
    """What a word at the head of an item or a column tells: `Create`, `Read-only reference`, `삭제`."""
    first = word.strip().casefold().split()
    if not first:
        return None
    return _USES.get(first[0]) or (Use.READS if first[0].startswith(("read", "reus", "import")) else None)


def read_paths(text: str) -> Mention:
    """The paths that a list item, a table cell or a field begins with. Paths in the middle of prose are left alone."""
    text = without_checkbox(text[:_LONGEST].strip())
    use, rest = _leading_words(text)
    found: list[str] = []
    note = ""
    while rest:
        path, behind = _leading_path(rest)
        if path is None:
            break
        found.extend(expanded for expanded in _expanded(path) if expanded not in found)
        note, rest = behind, _next_in_list(behind)
    if found and use in (None, Use.WRITES):
        use = _noted_use(note) or use
    return Mention(tuple(found), use)


def _noted_use(rest: str) -> Use | None:
    """The use that a note in brackets after the path tells: `(new)` is written, `(read-only)` is not."""
    note = rest.strip().lstrip("(-–—:[ ").casefold()
    if note.startswith(("unchanged", "read-only", "read only", "reference", "existing, unchanged", "no change")):
        return Use.READS
    return Use.REMOVES if note.startswith(("delete", "remove")) else None


def _leading_words(text: str) -> tuple[Use | None, str]:
    """Take the verb (and fillers) off the front: (use, what is left). Emphasis around them is taken away too."""
    use: Use | None = None
    rest = text.lstrip("*_ ")
    for _ in range(6):
        found = _WORD.match(rest)
        word = found.group().strip("*_()[]").casefold() if found else ""
        if not found or (word not in _USES and word not in _FILLERS) or _is_path(found.group().strip("*_()[]")):
            break
        if use is None or (word in _USES and _USES[word] is not Use.WRITES):
            use = _USES.get(word, use)
        rest = rest[found.end() :].lstrip("*_ :：/&,|+" if word in _USES else "*_ :：")
    return use, rest


def _leading_path(text: str) -> tuple[str | None, str]:
    code = _CODE.match(text.lstrip("*_ "))
    if code:
        rest = text.lstrip("*_ ")[code.end() :]
        return clean_path(code.group(1)), rest
    if text.startswith("["):
        targets = link_targets(text[:1000])
        label, _, rest = text[1:].partition("](")
        if targets:
            return clean_path(label.strip("`")) or clean_path(targets[0]), rest.partition(")")[2]
    word, _, rest = text.partition(" ")
    cut = next((position for position, character in enumerate(word) if character in ",，、"), len(word))
    path = clean_path(word[:cut].strip("*_").rstrip(":;："))
    return path, word[cut:] + " " + rest


def _next_in_list(rest: str) -> str:
    """What follows the next comma (or `and`, or `+`), when more paths can follow; else nothing."""
    rest = rest.lstrip("* _")
    if rest.startswith(("(", "（")):
        end = rest.find(")") if rest[0] == "(" else rest.find("）")
        after = rest[end + 1 :].lstrip() if end > 0 else ""
        if after[:1] in (",", "，", "、", "+", "&"):
            rest = after
    for joint in (",", "，", "、", "+", "&", "and ", "und ", "et ", "y ", "и ", "和", "/ ", "<br>", "<br/>", ";", "|"):
        if rest.startswith(joint):
            return rest[len(joint) :].lstrip()
    return rest if rest.startswith("`") else ""


def clean_path(text: str) -> str | None:
    """A path as the workspace knows it (no `./`, leading `/`, line numbers), or None if the text is no path."""
    text = _POSITION.sub("", text.strip())
    if not _is_path(text):
        return None
    if text.startswith("/"):
        first = text.lstrip("/").partition("/")[0]
        return text if first in _SYSTEM else text.lstrip("/") or None
    while text.startswith("./"):
        text = text[2:].lstrip("/")
    return text or None


def _is_path(text: str) -> bool:
    if not text or len(text) > 400 or "://" in text or text.startswith(("@", "$", "-", "#", "%", "...")):
        return False
    if (
        "$" in text
        or not text.isprintable()
        or _FOREIGN.search(text.replace("(", "", 1).replace(")", "", 1) if "/(" in text else text)
    ):
        return False
    name = text.rstrip("/").rpartition("/")[2]
    if not name.strip("."):
        return text in ("./", ".")
    if name in _NAMES or (text.endswith("/") and len(text) > 1):
        return True
    if _EXTENSION.search(name):
        return _is_file_name(text, name)
    return "/" in text.strip("/") and _is_folder_path(text)


def _is_file_name(text: str, name: str) -> bool:
    """Whether a dotted word is a file (`main.py`) and no call, version or attribute (`os.path`, `v1.2.x`)."""
    stem, _, extension = name.rpartition(".")
    if "/" in text or "*" in name or name.startswith("."):
        return True
    return bool(stem) and not stem[-1:].isspace() and extension.casefold() in _EXTENSIONS


_EXTENSIONS: Final = words(
    "py pyi pyx ipynb js jsx mjs cjs ts tsx mts cts vue svelte astro html htm css scss sass less json jsonc json5"
    " yaml yml"
    " toml ini cfg conf env xml svg md mdx markdown rst txt adoc csv tsv sql db sqlite prisma graphql gql proto"
    " thrift go mod"
    " sum rs c h cc cpp cxx hpp hh cs csproj sln fs vb java kt kts gradle groovy scala clj cljs ex exs erl hs ml mli"
    " rb erb"
    " rake gemspec php phtml swift m mm dart lua pl pm r jl sh bash zsh fish ps1 bat cmd nix tf tfvars hcl dockerfile"
    " lock log"
    " template tmpl tpl j2 jinja xaml axaml resx ico png jpg jpeg gif webp pdf iss plist storyboard wasm sol move zig"
    " nim v vhd"
    " sv cmake mk make patch diff snap test spec example sample parquet pkl onnx arrow po pot ejs hbs liquid sty tex"
    " bib"
)


def _is_folder_path(text: str) -> bool:
    """Whether a text with a slash but no extension is a path (`src/api`) and no pair of words (`and/or`, `Up/Down`)."""
    parts = text.strip("/").split("/")
    if text.startswith(("/", "./", "../", "~/")):
        return len(parts) > 1 or text.startswith(("./", "../"))
    return all(parts) and parts[0].isascii() and (len(parts) > 2 or parts[0] in _ROOTS or "*" in text)


_ROOTS: Final = words(
    "src lib app apps packages tests test docs doc scripts bin cmd pkg internal api backend frontend server client"
    " web config"
    " tools examples migrations assets public static templates components services models core crates modules .github"
    " .claude"
    " .planning build deploy infra data e2e spec specs resources"
)


def _expanded(path: str) -> list[str]:
    """`src/{a,b}.ts` as two paths; everything else as it is."""
    found = _BRACES.search(path)
    if not found or "," not in found.group(1):
        return [path]
    choices = found.group(1).split(",")[:_MAX_BRACES]
    return [path[: found.start()] + choice.strip() + path[found.end() :] for choice in choices]
