"""Importance matrices: what llama-imatrix computes, applied as llama-quantize applies it, key for key and byte for byte."""
import struct

import pytest

from conftest import ROOT, assert_same_gguf
from test_families import made  # noqa: F401  (a fixture)

MIXES = ["F16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q2_K_S", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S",
         "Q5_K_M", "Q6_K", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "IQ3_XS", "IQ3_S", "IQ3_M",
         "IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0", "Q1_0", "Q2_0", "MXFP4_MOE"]


class Calibration:
    """Importance matrices of a model in both formats."""

    def __init__(self, llama, folder):
        self.llama, self.folder = llama, folder

    def __call__(self, model, name, text_bytes=None, context=64, chunks=3):
        gguf, dat = self.folder / f"{name}.gguf", self.folder / f"{name}.dat"
        if not dat.exists():
            text = self.folder / f"{name}.txt"
            text.write_text((ROOT / "LICENSE").read_text()[:text_bytes])
            self.llama("imatrix", "-m", model, "-f", text, "-o", gguf, "-c", context, "--chunks", chunks, "-t", "2", "--no-ppl")
            self.llama("imatrix", "-m", model, "--in-file", gguf, "-o", dat, "--output-format", "dat")
        return {"gguf": gguf, "dat": dat}


@pytest.fixture(scope="session")
def calibrate(llama, tmp_path_factory):
    return Calibration(llama, tmp_path_factory.mktemp("imatrix"))


@pytest.fixture(scope="session")
def dense(workshop, calibrate):
    model = workshop.lossless("hidden-256")
    return workshop.checkpoint("hidden-256"), model, calibrate(model, "hidden-256")


def compare(smelt, llama_quantize, tmp_path, source, model, mix, *options):
    llama_quantize(model, tmp_path / "theirs.gguf", mix, *options)
    done = smelt("quantize", source, tmp_path / "ours.gguf", mix, *options, "--quiet", check=True)
    assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")
    return done


@pytest.mark.parametrize("mix", MIXES)
def test_every_mix(smelt, llama_quantize, tmp_path, dense, mix):
    source, model, files = dense
    compare(smelt, llama_quantize, tmp_path, source, model, mix, "--imatrix", files["gguf"])


@pytest.mark.parametrize("mix", ["Q4_0", "Q4_K_M", "IQ4_NL"])
def test_the_older_files(smelt, llama_quantize, tmp_path, dense, mix):
    source, model, files = dense
    compare(smelt, llama_quantize, tmp_path, source, model, mix, "--imatrix", files["dat"])


def test_files_from_before_the_trailers(smelt, llama_quantize, tmp_path, dense):
    source, model, files = dense
    data = files["dat"].read_bytes()
    at = 4
    for _ in range(struct.unpack_from("<i", data)[0]):
        at += 4 + struct.unpack_from("<i", data, at)[0]
        at += 8 + 4 * struct.unpack_from("<i", data, at + 4)[0]
    old = tmp_path / "old.dat"
    old.write_bytes(data[:at])
    compare(smelt, llama_quantize, tmp_path, source, model, "Q4_K_M", "--imatrix", old)


@pytest.mark.parametrize("calls", [0, 1, 7])
def test_calls_of_the_older_files(smelt, llama_quantize, tmp_path, dense, calls):
    source, model, files = dense
    data = bytearray(files["dat"].read_bytes())
    first_calls = 8 + struct.unpack_from("<i", data, 4)[0]
    struct.pack_into("<i", data, first_calls, calls)
    other = tmp_path / "other.dat"
    other.write_bytes(data)
    compare(smelt, llama_quantize, tmp_path, source, model, "Q5_1", "--imatrix", other)


@pytest.mark.parametrize("options", [["--include-weights", "attn_k", "--include-weights", "ffn"], ["--include-weights", "nothing"],
                                     ["--exclude-weights", "attn"], ["--exclude-weights", "attn", "--exclude-weights", "blk.1"],
                                     ["--exclude-weights", "weight"], ["--pure"], ["--leave-output-tensor"],
                                     ["--token-embedding-type", "q4_1", "--output-tensor-type", "q5_0"],
                                     ["--tensor-type", "attn_v=q5_0"]], ids=" ".join)
@pytest.mark.parametrize("mix", ["Q4_0", "Q4_K_M"])
def test_options(smelt, llama_quantize, tmp_path, dense, mix, options):
    source, model, files = dense
    compare(smelt, llama_quantize, tmp_path, source, model, mix, "--imatrix", files["gguf"], *options)


def test_the_output_matrix_when_it_was_calibrated(smelt, llama, llama_quantize, workshop, tmp_path):
    model = workshop.lossless("hidden-256")
    llama("imatrix", "-m", model, "-f", ROOT / "LICENSE", "-o", tmp_path / "head.gguf", "-c", "64", "--chunks", "2", "-t", "2", "--no-ppl",
          "--process-output")
    compare(smelt, llama_quantize, tmp_path, workshop.checkpoint("hidden-256"), model, "Q4_K_M", "--imatrix", tmp_path / "head.gguf")


# A calibration so short that it reaches not every expert.
@pytest.mark.parametrize("mix", ["Q4_0", "Q5_0", "Q4_K_M", "IQ4_XS", "MXFP4_MOE"])
@pytest.mark.parametrize("form", ["gguf", "dat"])
@pytest.mark.parametrize("name", ["qwen3-moe-now", "qwen2-moe-now"])
def test_experts(smelt, llama_quantize, tmp_path, made, calibrate, name, form, mix):  # noqa: F811
    model = made.gguf(name)
    files = calibrate(model, name, text_bytes=300, context=32, chunks=1)
    done = compare(smelt, llama_quantize, tmp_path, made.checkpoint(name), model, mix, "--imatrix", files[form])
    assert "calibration never reached" in done.stderr and "blk.0.ffn_down_exps.weight" in done.stderr


@pytest.mark.parametrize("mix", ["Q4_0", "Q4_K_M"])
def test_a_real_model(smelt, llama_quantize, workshop, smollm2, calibrate, tmp_path, mix):
    model = workshop.big_gguf("smollm2", "bf16")
    files = calibrate(model, "smollm2", context=128, chunks=2)
    compare(smelt, llama_quantize, tmp_path, smollm2, model, mix, "--imatrix", files["gguf"])


@pytest.mark.parametrize("threads", [1, 3])
def test_bytes_do_not_depend_on_threads(smelt, llama_quantize, tmp_path, dense, threads):
    source, model, files = dense
    llama_quantize(model, tmp_path / "theirs.gguf", "Q3_K_M", "--imatrix", files["gguf"])
    smelt("quantize", source, tmp_path / "ours.gguf", "Q3_K_M", "--imatrix", files["gguf"], "--threads", threads, "--quiet", check=True)
    assert_same_gguf(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")


# llama-quantize ends with an error for the same files, after work began or before; ours names the tensors and begins nothing.
@pytest.mark.parametrize("mix", ["Q2_K_S", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "IQ3_XS"])
def test_types_that_need_a_matrix(smelt, llama_quantize, tmp_path, dense, mix):
    source, model, _ = dense
    theirs = llama_quantize(model, tmp_path / "theirs.gguf", mix, check=False)
    ours = smelt("quantize", source, tmp_path / "ours.gguf", mix)
    assert theirs.returncode != 0 and "requires an importance matrix" in theirs.stderr + theirs.stdout
    assert ours.returncode == 3 and "--imatrix" in ours.stderr and "blk.0.attn_q.weight" in ours.stderr
    assert not (tmp_path / "ours.gguf").exists()


def test_a_matrix_of_another_model(smelt, llama_quantize, workshop, tmp_path, dense):
    files = dense[2]
    model = workshop.lossless("twelve-layers")
    theirs = llama_quantize(model, tmp_path / "theirs.gguf", "Q4_0", "--imatrix", files["gguf"], check=False)
    ours = smelt("quantize", workshop.checkpoint("twelve-layers"), tmp_path / "ours.gguf", "Q4_0", "--imatrix", files["gguf"])
    assert theirs.returncode != 0 and "imatrix size" in theirs.stderr + theirs.stdout
    assert ours.returncode == 3 and "not for this model" in ours.stderr and "blk.0.attn_q.weight" in ours.stderr
