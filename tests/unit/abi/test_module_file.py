# SPDX-License-Identifier: Apache-2.0
"""Reading module files: no content raises an exception, however malformed it is."""

import contextlib
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.abi.elf.module_file import Parameter, inspect_module, read_module
from harness.abi.elf.signature import MAGIC
from harness.abi.predict.disassembly import read_module_code
from harness.kernel.arch import ARCHITECTURES, X86_64, Architecture
from harness.lab.plan.module_index import ModuleIndex, indexed
from harness.lab.plan.vendor_modules import Companion, VendorModule, load_order
from harness.support.errors import ModcompatError

PROGRAM = Path("/bin/true").read_bytes()
# Written by hand: the parts of a module that modpost and the kernel's headers add.
SOURCE = r"""
#define INFO(name, text) static const char info_##name[] __attribute__((section(".modinfo"), used)) = text
INFO(a, "license=Dual MIT/GPL"); INFO(b, "vermagic=6.1.0 SMP mod_unload modversions "); INFO(c, "name=vendor");
INFO(d, "parm=debug:How much to say"); INFO(e, "parmtype=debug:int"); INFO(f, "depends=first,second");
INFO(g, "softdep=pre: crypto-sum absent post: later"); INFO(h, "alias=crypto-sum");
struct module { char before[24], name[56], more[232]; int (*init)(void); char rest[392]; void (*exit)(void); };
extern int printed(const char *); extern int maybe __attribute__((weak));
int init_module(void) { return printed("init") + maybe; }
void cleanup_module(void) { }
struct module __this_module __attribute__((section(".gnu.linkonce.this_module"))) = {
    .name = "vendor", .init = init_module, .exit = cleanup_module,
};
struct version { unsigned long crc; char name[56]; };
static const struct version versions[] __attribute__((section("__versions"), used)) = {
    { 0x1234, "module_layout" }, { 0xcafe, "printed" },
};
static const unsigned crcs[] __attribute__((section("__version_ext_crcs"), used)) = { 0x1234, 0xcafe };
static const char names[] __attribute__((section("__version_ext_names"), used)) = "module_layout\0printed";
const int __ksymtab_offered = 1;
static char zeros[100]; char *volatile use = zeros;
"""
# struct module_signature (PKCS#7) after the part of a message that is read: SHA-256, common name "Vendor"
MESSAGE = bytes.fromhex("06096086480165030402010603550403") + b"\x0c\x06Vendor"
SIGNED = MESSAGE + struct.pack(">BBBBB3xI", 0, 0, 2, 0, 0, len(MESSAGE)) + MAGIC


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The compiled module for each architecture."""
    folder = tmp_path_factory.mktemp("module")
    (folder / "vendor.c").write_text(SOURCE)
    for arch in ARCHITECTURES.values():
        compiler = [f"{arch.cross_compile}gcc", "-c", "-O2", "-fno-pic", "vendor.c", "-o", f"{arch.name}.ko"]
        subprocess.run(compiler, cwd=folder, check=True)
    return {name: (folder / f"{name}.ko").read_bytes() for name in ARCHITECTURES}


@pytest.fixture(scope="module")
def module(modules: dict[str, bytes]) -> bytes:
    return modules["x86_64"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "vendor-driver.ko"


@pytest.mark.parametrize("arch", ARCHITECTURES.values(), ids=lambda arch: arch.name)
@pytest.mark.parametrize("renamed", [("init_module", "cleanup_module"), ("init_module",), ("cleanup_module",)])
def test_init_and_exit_are_known_whatever_they_are_called(
    arch: Architecture, renamed: tuple[str, ...], modules: dict[str, bytes], file: Path
) -> None:
    """Like the kernel, the reader follows the relocations of struct module."""
    file.write_bytes(modules[arch.name])
    whole = read_module(file)
    changes = [f"--redefine-sym={name}=a{number}" for number, name in enumerate(renamed)]
    subprocess.run([f"{arch.cross_compile}objcopy", *changes, file], check=True)
    facts = read_module(file)
    assert (facts.init, facts.exit) == (whole.init, whole.exit)
    assert facts.has_init
    assert facts.has_exit


def test_a_section_that_would_unpack_to_more_than_there_can_be_is_not_unpacked(module: bytes, file: Path) -> None:
    file.write_bytes(module)
    folder = file.parent
    (folder / "debug").write_bytes(bytes(0x12340))
    subprocess.run(["objcopy", f"--add-section=.debug_info={folder / 'debug'}", file], check=True)
    subprocess.run(["objcopy", "--compress-debug-sections=zlib-gabi", file], check=True)
    assert not read_module(file).problem
    content = file.read_bytes()
    says = struct.pack("<IIQ", 1, 0, 0x12340)  # Elf64_Chdr: ELFCOMPRESS_ZLIB and the size
    assert content.count(says) == 1
    file.write_bytes(content.replace(says, struct.pack("<IIQ", 1, 0, 1 << 40)))
    assert "unpack to 1099511627776 bytes" in read_module(file).problem


def test_a_file_with_more_symbols_than_any_module_is_none(
    module: bytes, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.abi.elf.module_file._MAX_SYMBOLS", 5)
    file.write_bytes(module + b"\0")  # differs from the content whose result is cached
    assert "too many for a module" in read_module(file).problem


def test_soft_dependencies_are_loaded_before_by_name_or_alias(module: bytes, tmp_path: Path) -> None:
    vendor, own = tmp_path / "vendor.ko", tmp_path / "sum_generic.ko"
    vendor.write_bytes(module)
    own.write_bytes(module.replace(b"softdep=", b"nothing=").replace(b"name=vendor", b"name=summer"))
    facts = read_module(vendor)
    assert facts.soft_depends == ("crypto-sum", "absent")
    before, more = load_order([VendorModule("vendor")], {"vendor": vendor}, ModuleIndex([indexed(own)]))
    assert before == {"vendor": (Companion("modules/needed/sum_generic.ko", is_required=False),)}
    assert more == {"modules/needed/sum_generic.ko": own}


def test_modules_may_depend_on_one_another(module: bytes, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.ko" for name in ("first", "second")}
    for name, file in files.items():
        file.write_bytes(module.replace(b"name=vendor", b"name=" + name.encode().ljust(len("vendor"), b"\0")))
    before, _ = load_order([VendorModule(name) for name in files], files, ModuleIndex())
    assert before == {"first": (Companion("modules/second.ko"),), "second": (Companion("modules/first.ko"),)}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (b"#!/bin/sh\nexit 0\n", "it is not an ELF file"),
        (b"!<arch>\nvendor.o/", "it is an ar archive: unpack it"),
        (b"PK\x03\x04\x14", "it is a zip archive: unpack it"),
        (b"vendor.ko".ljust(257, b"\0") + b"ustar", "it is a tar archive: unpack it"),
        (b"\x7fEL", "it is cut short: there are only 3 bytes of it"),
        (PROGRAM[:15], "it is cut short: there are only 15 bytes of it"),
        (PROGRAM[:100], "it is cut short: its table of sections ends at byte"),
        (PROGRAM[:-1], "it is cut short: its table of sections ends at byte"),
        (PROGRAM[:4] + b"\x07" + PROGRAM[5:], "not a whole ELF file"),
        (PROGRAM, "not a kernel module"),
        (b"\xfd7zXZ\0and so on", "data is damaged"),
        (MAGIC, "its signature is cut off"),
        (struct.pack(">BBBBB3xI", 0, 0, 2, 0, 0, 99) + MAGIC, "claims 99 bytes"),
    ],
    ids=[
        "empty",
        "script",
        "ar",
        "zip",
        "tar",
        "magic",
        "header",
        "section",
        "end",
        "class",
        "program",
        "xz",
        "signature",
        "long-signature",
    ],
)
def test_a_file_that_is_no_module_says_why(file: Path, content: bytes, problem: str) -> None:
    file.write_bytes(content)
    facts = read_module(file)
    assert problem in facts.problem
    assert facts.name == "vendor_driver"


def test_a_module_tells_its_facts(file: Path, module: bytes) -> None:
    file.write_bytes(module)
    facts = inspect_module(file)
    assert facts.arch is not None
    assert (facts.name, facts.arch.name, facts.byte_order) == ("vendor", "x86_64", "little")
    assert (facts.licence, facts.vermagic) == ("Dual MIT/GPL", "6.1.0 SMP mod_unload modversions ")
    assert (facts.struct_size, facts.init, facts.exit) == (720, 0x138, 0x2C8)
    assert facts.parameters == (Parameter("debug", "int", "How much to say"),)
    assert facts.depends == ("first", "second")
    assert {symbol.name: (symbol.weak, symbol.crc) for symbol in facts.imports} == {
        "printed": (False, 0xCAFE),
        "maybe": (True, None),
    }
    assert (facts.versions, facts.other_versions) == (True, {"module_layout": 0x1234})
    assert facts.extended_versions == {"module_layout": 0x1234, "printed": 0xCAFE}
    assert facts.exports == ("offered",)
    assert facts.bss == 100
    assert facts.has_section(".modinfo")
    assert not facts.has_section("__jump_table")
    assert facts.compiler.startswith("GCC: ")
    assert facts.signature is None


@pytest.mark.parametrize("name", [b".", b"..", b"/a/b", b"../a", b"\x1b[2J", b"a\nb", b"a b"])
def test_a_name_that_is_no_name_of_a_module_is_refused(file: Path, module: bytes, name: bytes) -> None:
    file.write_bytes(module.replace(b"name=vendor", b"name=" + name.ljust(len("vendor"), b"\0")))
    with pytest.raises(ModcompatError, match="which is not a valid name of a module") as caught:
        inspect_module(file)
    assert caught.value.problem.isprintable()


def test_a_signature_is_told_and_left_out(file: Path, module: bytes) -> None:
    file.write_bytes(module + SIGNED)
    facts = inspect_module(file)
    assert facts.signature is not None
    assert (facts.signature.signer, facts.signature.digest) == ("Vendor", "sha256")
    assert facts.struct_size == 720


def _is_one_line(file: Path, content: bytes) -> None:
    """The content is either read or refused with a one-line message."""
    file.write_bytes(content)
    if read_module(file).problem:
        with pytest.raises(ModcompatError) as caught:
            inspect_module(file)
        assert "\n" not in str(caught.value)


PROPERTY = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=200
)


@PROPERTY
@given(cut=st.integers(0, len(PROGRAM)), position=st.integers(0, 4000), patch=st.binary(max_size=8))
def test_a_damaged_program_is_one_line(file: Path, cut: int, position: int, patch: bytes) -> None:
    damaged = bytearray(PROGRAM[:cut])
    damaged[position : position + len(patch)] = patch
    _is_one_line(file, bytes(damaged))


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The content, possibly truncated and with some bytes changed."""
    content = bytearray(whole[: draw(st.integers(0, len(whole)) | st.just(len(whole)))])
    for _ in range(draw(st.integers(0, 4))):
        if content:
            content[draw(st.integers(0, len(content) - 1))] ^= draw(st.integers(1, 255))
    return bytes(content)


@PROPERTY
@given(data=st.data())
def test_a_damaged_module_is_one_line(file: Path, module: bytes, data: st.DataObject) -> None:
    _is_one_line(file, data.draw(damaged(module + data.draw(st.sampled_from([b"", SIGNED])))))


@PROPERTY
@given(arch=st.sampled_from(list(ARCHITECTURES.values())), data=st.data())
def test_a_damaged_program_of_a_module_is_read_or_refused(
    file: Path, modules: dict[str, bytes], arch: Architecture, data: st.DataObject
) -> None:
    file.write_bytes(data.draw(damaged(modules[arch.name])))
    read_module(file)
    with contextlib.suppress(ModcompatError):
        read_module_code(file, arch)


def test_a_module_without_symbols_has_no_program(file: Path, module: bytes) -> None:
    file.write_bytes(module)
    assert "init_module" in read_module_code(file, X86_64).symbols
    file.write_bytes(module.replace(b".symtab", b".gone__"))
    with pytest.raises(ModcompatError, match="it has no symbol table"):
        read_module_code(file, X86_64)


@PROPERTY
@given(content=st.binary(max_size=300), head=st.sampled_from([b"", b"\x7fELF\x02\x01\x01\0", b"\x7fELF\x01\x01\x01\0"]))
def test_random_bytes_are_one_line(file: Path, content: bytes, head: bytes) -> None:
    _is_one_line(file, head + content)
