"""What training code does to files, in two steps each: `checks.py write NAME DIR`, then `checks.py read NAME DIR` in another
process, on the same mount and on another one. A failed assertion or any exception is the failure. `checks.py list` prints the
names with the packages that they need. Data comes from fixed seeds, so that the reader knows what must be there.
"""

import importlib.util
import os
import subprocess
import sys

CHECKS = {}


def check(*needs):
    def register(cls):
        CHECKS[cls.__name__] = (needs, cls)
        return cls

    return register


def array(seed, *shape):
    import numpy

    return numpy.random.default_rng(seed).standard_normal(shape).astype("float32")


def tensors(seed):
    import torch

    generator = torch.Generator().manual_seed(seed)
    return {
        "embed.weight": torch.randn(2000, 256, generator=generator),
        "layer.0.bias": torch.randn(256, generator=generator),
        "layer.0.weight": torch.randn(256, 2000, generator=generator).to(torch.bfloat16),
        "empty": torch.empty(0, 4),
        "step": torch.tensor(seed),
    }


def same(a, b):
    import torch

    assert a.keys() == b.keys(), (a.keys(), b.keys())
    for name in a:
        assert torch.equal(a[name], b[name]), name


@check("numpy")
class numpy_save:
    def write(self, place):
        import numpy

        numpy.save(f"{place}/a.npy", array(1, 3000, 1000))
        numpy.savez(f"{place}/many.npz", x=array(2, 10), y=array(3, 500, 500))
        numpy.savez_compressed(f"{place}/small.npz", z=numpy.zeros((1000, 1000)))

    def read(self, place):
        import numpy

        assert numpy.array_equal(numpy.load(f"{place}/a.npy"), array(1, 3000, 1000))
        assert numpy.array_equal(numpy.load(f"{place}/a.npy", mmap_mode="r")[1234:1300], array(1, 3000, 1000)[1234:1300])
        with numpy.load(f"{place}/many.npz") as many:
            assert numpy.array_equal(many["x"], array(2, 10)) and numpy.array_equal(many["y"], array(3, 500, 500))
        assert numpy.load(f"{place}/small.npz")["z"].sum() == 0


@check("numpy")
class numpy_memmap:
    def write(self, place):
        import numpy

        made = numpy.lib.format.open_memmap(f"{place}/made.npy", mode="w+", dtype="float32", shape=(2000, 1000))
        made[:] = array(4, 2000, 1000)
        made.flush()
        del made
        edited = numpy.load(f"{place}/made.npy", mmap_mode="r+")
        edited[500:600] = 7
        edited[1999, 999] = -1
        assert edited[550, 3] == 7
        edited.flush()
        del edited
        raw = numpy.memmap(f"{place}/raw.bin", mode="w+", dtype="int64", shape=(100_000,))
        raw[::7] = numpy.arange(0, 100_000, 7)
        del raw

    def read(self, place):
        import numpy

        expected = array(4, 2000, 1000)
        expected[500:600] = 7
        expected[1999, 999] = -1
        assert numpy.array_equal(numpy.load(f"{place}/made.npy", mmap_mode="r"), expected)
        raw = numpy.memmap(f"{place}/raw.bin", mode="r", dtype="int64")
        assert len(raw) == 100_000 and raw[7 * 1234] == 7 * 1234 and raw[1] == 0


@check("h5py", "numpy")
class h5py_append:
    def write(self, place):
        import h5py

        with h5py.File(f"{place}/data.h5", "w") as file:
            file["plain"] = array(5, 300, 300)
            file.create_dataset("grows", data=array(6, 100, 64), maxshape=(None, 64), chunks=(50, 64), compression="gzip")
            file.attrs["epoch"] = 1
        for epoch in (2, 3):
            with h5py.File(f"{place}/data.h5", "a") as file:
                grows = file["grows"]
                grows.resize(100 * epoch, axis=0)
                grows[-100:] = array(epoch, 100, 64)
                file.attrs["epoch"] = epoch
                file.create_group(f"run{epoch}")["x"] = array(epoch + 10, 50)

    def read(self, place):
        import h5py
        import numpy

        with h5py.File(f"{place}/data.h5", "r") as file:
            assert file.attrs["epoch"] == 3
            assert numpy.array_equal(file["plain"][:], array(5, 300, 300))
            assert numpy.array_equal(file["grows"][:100], array(6, 100, 64))
            for epoch in (2, 3):
                assert numpy.array_equal(file["grows"][100 * (epoch - 1):100 * epoch], array(epoch, 100, 64))
                assert numpy.array_equal(file[f"run{epoch}/x"][:], array(epoch + 10, 50))


@check("safetensors", "torch", "numpy")
class safetensors_files:
    def write(self, place):
        from safetensors.numpy import save_file as save_numpy
        from safetensors.torch import save_file

        save_file(tensors(1), f"{place}/old.safetensors")
        save_file(tensors(2), f"{place}/model.safetensors.tmp", metadata={"step": "2"})
        os.replace(f"{place}/model.safetensors.tmp", f"{place}/model.safetensors")
        save_file(tensors(3), f"{place}/old.safetensors")
        save_numpy({"a": array(8, 100, 100)}, f"{place}/numpy.safetensors")

    def read(self, place):
        import numpy
        from safetensors import safe_open
        from safetensors.numpy import load_file as load_numpy
        from safetensors.torch import load_file

        same(load_file(f"{place}/model.safetensors"), tensors(2))
        same(load_file(f"{place}/old.safetensors"), tensors(3))
        with safe_open(f"{place}/model.safetensors", framework="pt") as file:
            assert file.metadata() == {"step": "2"}
        assert numpy.array_equal(load_numpy(f"{place}/numpy.safetensors")["a"], array(8, 100, 100))


@check("torch")
class torch_save:
    def write(self, place):
        import torch

        torch.save(tensors(1), f"{place}/latest.pt")
        for step in (2, 3):
            torch.save({"model": tensors(step), "step": step}, f"{place}/checkpoint.pt.tmp")
            os.rename(f"{place}/checkpoint.pt.tmp", f"{place}/checkpoint.pt")
        torch.save(tensors(4), f"{place}/latest.pt")
        torch.save(tensors(5), f"{place}/legacy.pt", _use_new_zipfile_serialization=False)
        with open(f"{place}/latest.pt", "rb") as file:
            same(torch.load(file), tensors(4))

    def read(self, place):
        import torch

        saved = torch.load(f"{place}/checkpoint.pt")
        assert saved["step"] == 3
        same(saved["model"], tensors(3))
        same(torch.load(f"{place}/latest.pt", mmap=True), tensors(4))
        same(torch.load(f"{place}/legacy.pt"), tensors(5))
        assert sorted(os.listdir(place)) == ["checkpoint.pt", "latest.pt", "legacy.pt"]


@check("torch")
class torch_distributed_checkpoint:
    """Two processes, one checkpoint directory; saved twice over."""

    def ranks(self, how, place):
        with open(os.path.join(os.environ["TMPDIR"], f"rendezvous-{how}-{os.getpid()}"), "wb") as file:
            meeting = file.name
        os.unlink(meeting)
        ranks = [
            subprocess.Popen([sys.executable, __file__, "rank", how, place, meeting, str(rank)]) for rank in range(2)
        ]
        codes = [rank.wait(timeout=150) for rank in ranks]
        assert codes == [0, 0], codes

    def write(self, place):
        self.ranks("save", place)

    def read(self, place):
        self.ranks("load", place)

    def rank(self, how, place, meeting, rank):
        import torch
        import torch.distributed as dist
        import torch.distributed.checkpoint as dcp

        dist.init_process_group("gloo", init_method=f"file://{meeting}", world_size=2, rank=rank)
        state = {"shared": torch.arange(100_000.0), f"rank{rank}": torch.full((500_000,), float(rank)), "step": 0}
        if how == "save":
            for step in (1, 2):
                state["step"] = step
                state[f"rank{rank}"].fill_(rank * 10 + step)
                dcp.save(state, checkpoint_id=f"{place}/checkpoint")
                dist.barrier()
        else:
            dcp.load(state, checkpoint_id=f"{place}/checkpoint")
            assert state["step"] == 2
            assert torch.all(state[f"rank{rank}"] == rank * 10 + 2)
            assert torch.equal(state["shared"], torch.arange(100_000.0))
        dist.destroy_process_group()


@check("pandas", "pyarrow")
class pandas_files:
    def frame(self):
        import pandas

        return pandas.DataFrame({"id": range(20_000), "x": array(9, 20_000), "name": [f"row {at}" for at in range(20_000)]})

    def write(self, place):
        import pyarrow
        import pyarrow.parquet

        frame = self.frame()
        frame.to_parquet(f"{place}/frame.parquet")
        frame.to_csv(f"{place}/frame.csv", index=False)
        frame[:100].to_csv(f"{place}/frame.csv", index=False, header=False, mode="a")
        frame.to_json(f"{place}/frame.jsonl", orient="records", lines=True)
        frame.assign(part=frame.id % 3).to_parquet(f"{place}/parts", partition_cols=["part"])
        with pyarrow.OSFile(f"{place}/stream.arrow", "wb") as sink:
            table = pyarrow.Table.from_pandas(frame)
            with pyarrow.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table, max_chunksize=1000)

    def read(self, place):
        import pandas
        import pyarrow

        frame = self.frame()
        pandas.testing.assert_frame_equal(pandas.read_parquet(f"{place}/frame.parquet"), frame)
        csv = pandas.read_csv(f"{place}/frame.csv", dtype={"x": "float32"})
        assert len(csv) == 20_100
        pandas.testing.assert_frame_equal(csv[:20_000], frame, check_dtype=False)
        assert len(pandas.read_json(f"{place}/frame.jsonl", lines=True)) == 20_000
        assert len(pandas.read_parquet(f"{place}/parts")) == 20_000
        with pyarrow.memory_map(f"{place}/stream.arrow") as source:
            assert pyarrow.ipc.open_file(source).read_all().num_rows == 20_000


@check("webdataset", "numpy")
class webdataset_shards:
    def write(self, place):
        import webdataset

        with webdataset.ShardWriter(f"{place}/shard-%04d.tar", maxcount=100, verbose=0) as sink:
            for at in range(250):
                sink.write({"__key__": f"sample{at:06d}", "npy": array(at, 32, 32), "cls": at % 10})
        with webdataset.TarWriter(f"{place}/one.tar.gz") as sink:
            for at in range(20):
                sink.write({"__key__": str(at), "txt": f"text {at}"})

    def read(self, place):
        import numpy
        import webdataset

        assert sorted(os.listdir(place)) == ["one.tar.gz", *(f"shard-000{at}.tar" for at in range(3))]
        shards = webdataset.WebDataset(f"{place}/shard-{{0000..0002}}.tar", shardshuffle=False).decode()
        count = 0
        for at, sample in enumerate(shards):
            assert numpy.array_equal(sample["npy"], array(at, 32, 32)) and sample["cls"] == at % 10
            count += 1
        assert count == 250
        texts = [sample["txt"] for sample in webdataset.WebDataset(f"{place}/one.tar.gz", shardshuffle=False).decode()]
        assert texts == [f"text {at}" for at in range(20)]


@check("datasets")
class hugging_face_datasets:
    def write(self, place):
        import datasets

        data = datasets.Dataset.from_dict({"id": list(range(5000)), "text": [f"line {at}" * 20 for at in range(5000)]})
        data.save_to_disk(f"{place}/one", num_shards=3)
        datasets.DatasetDict({"train": data, "test": data.select(range(100))}).save_to_disk(f"{place}/both")
        data.map(lambda row: {"length": len(row["text"])}).save_to_disk(f"{place}/mapped")

    def read(self, place):
        import datasets

        one = datasets.load_from_disk(f"{place}/one")
        assert len(one) == 5000 and one[4321] == {"id": 4321, "text": "line 4321" * 20}
        both = datasets.load_from_disk(f"{place}/both")
        assert (len(both["train"]), len(both["test"])) == (5000, 100)
        assert datasets.load_from_disk(f"{place}/mapped")[10]["length"] == len("line 10" * 20)


@check("tensorboard", "torch")
class tensorboard_writer:
    """The events are there for others while the writer is open: the test looks, then says so on standard input."""

    def write(self, place):
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter(f"{place}/run", flush_secs=1)
        for step in range(100):
            writer.add_scalar("loss", 1 / (step + 1), step)
        writer.flush()
        if os.environ.get("WAITS"):
            print("flushed", flush=True)
            sys.stdin.readline()
        for step in range(100, 200):
            writer.add_scalar("loss", 1 / (step + 1), step)
        writer.close()

    def read(self, place):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(f"{place}/run", size_guidance={"scalars": 0})
        events.Reload()
        wanted = int(os.environ.get("EVENTS", "200"))
        steps = [event.step for event in events.Scalars("loss")]
        assert steps == list(range(wanted)), (len(steps), wanted)


def main():
    how, *rest = sys.argv[1:]
    if how == "list":
        for name, (needs, _) in CHECKS.items():
            missing = [package for package in needs if importlib.util.find_spec(package) is None]
            print(name, ",".join(missing))
    elif how == "rank":
        torch_distributed_checkpoint().rank(rest[0], rest[1], rest[2], int(rest[3]))
    else:
        name, place = rest
        if how == "write":
            os.makedirs(place)
        getattr(CHECKS[name][1](), how)(place)


main()
