"""FineVQ behind HTTP, run in FineVQ's own environment: `python -m infra.servers.finevq --code DIR --weights DIR`.

FineVQ's repository has a script that scores the videos of a folder. This server uses the parts of it that make the
score: the network, the tokenizer, the template of the question, the scaling of pictures. They are imported from a
checkout of github.com/IntMeGroup/FineVQ; nothing of it is copied here. What its script does and this server does not:

- take another video in place of one that cannot be read: the answer is then an error;
- download SlowFast's weights, which those of FineVQ hold anyway;
- read video by decord, which is no longer maintained: PyAV reads it here.

`infra/served/finevq.py` describes the protocol and holds the client.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib
import importlib.machinery
import io
import json
import os
import signal
import socket
import sys
import threading
import types
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TEMPLATE = "internlm2-chat"
MAX_TOKENS = 4096
"""Longest question that FineVQ was trained with, in tokens."""
ANSWER = "The overall quality of the video is excellent."
"""FineVQ reads the score from the language model's state on an answer; it was trained on this one."""
MIN_MOTION_FRAMES = 32
"""SlowFast averages over this many frames of its fast pathway; a shorter video has frames repeated."""
NUM_READERS = 2
"""Videos that are decoded at once, while another is in the network."""
MAX_BODY_BYTES = 1 << 30
FINGERPRINTED_BYTES = 1 << 20


class RefusedError(Exception):
    """A request that this server cannot fulfil, whatever the video; `status` is HTTP's."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class NoScoreError(Exception):
    """A video that has no score; the message says why."""


@dataclass(frozen=True)
class Question:
    """One video and how it is looked at, as a request says it."""

    video: bytes
    num_frames: int
    side_px: int
    motion_frames: int | None
    prompt: str

    @staticmethod
    def of(body: bytes) -> Question:
        """The question in a request's body.

        Raises:
            RefusedError: it is none.
        """
        try:
            asked = json.loads(body)
            motion_frames = asked.get("motion_frames")
            question = Question(
                video=base64.b64decode(asked["video"], validate=True),
                num_frames=int(asked["num_frames"]),
                side_px=int(asked["side_px"]),
                motion_frames=None if motion_frames is None else int(motion_frames),
                prompt=str(asked["prompt"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RefusedError(f"not a request for a score ({type(error).__name__}: {error})") from error
        if question.num_frames < 1 or (question.motion_frames or MIN_MOTION_FRAMES) < MIN_MOTION_FRAMES:
            raise RefusedError(f"num_frames must be at least 1, motion_frames at least {MIN_MOTION_FRAMES}")
        return question


class FineVqCode:
    """What is used of a checkout of FineVQ."""

    def __init__(self, directory: Path) -> None:
        if not (directory / "internvl" / "model" / "internvl_chat_infer").is_dir():
            raise FileNotFoundError(f"{directory} is no checkout of github.com/IntMeGroup/FineVQ")
        sys.path.insert(0, str(directory))
        importlib.import_module("transformers")  # ahead of the stand-in: it looks for decord, too
        stand_in = types.ModuleType("decord")
        stand_in.__spec__ = importlib.machinery.ModuleSpec("decord", None)
        stand_in.VideoReader = None  # type: ignore[attr-defined]
        sys.modules["decord"] = stand_in
        hub: Any = importlib.import_module("pytorchvideo.models.hub")
        slowfast = hub.slowfast_r50
        hub.slowfast_r50 = lambda **_: slowfast(pretrained=False)
        chat = importlib.import_module("internvl.model.internvl_chat_infer")
        self.network: Any = chat.InternVLChatModel
        self.config: Any = chat.InternVLChatConfig
        self.data: Any = importlib.import_module("internvl.train.dataset")
        constants = importlib.import_module("internvl.train.constants")
        self.context_token = str(constants.IMG_CONTEXT_TOKEN)
        self.tokens = [str(getattr(constants, name)) for name in dir(constants) if name.endswith("_TOKEN")]
        tokenization = importlib.import_module("internvl.model.internvl_chat_infer.tokenization_internlm2")
        self.tokenizer: Any = tokenization.InternLM2Tokenizer


class FineVq:
    """The network, and one video after the other."""

    def __init__(self, code: FineVqCode, weights: Path, device: str) -> None:
        import torch  # noqa: PLC0415 (a wrong option is told before anything heavy is loaded)

        self.code = code
        self.device = torch.device(device)
        self.dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self.name = f"{weights.name} ({fingerprint(weights)})"
        os.chdir(weights)  # FineVQ's configuration reads config.json from the working directory, whatever it is given
        self.tokenizer = code.tokenizer.from_pretrained(str(weights), add_eos_token=False)
        if self.tokenizer.add_tokens(code.tokens, special_tokens=True):
            raise ValueError(f"the tokenizer in {weights} lacks tokens of FineVQ: these are not FineVQ's weights")
        self.tokenizer.model_max_length = MAX_TOKENS
        network, loaded = code.network.from_pretrained(
            str(weights), torch_dtype=self.dtype, low_cpu_mem_usage=True, output_loading_info=True
        )
        if loaded["missing_keys"]:
            missing = loaded["missing_keys"]
            raise ValueError(f"{weights} lacks {len(missing)} tensors of FineVQ's network, such as {missing[0]}")
        self.context_token = self.tokenizer.convert_tokens_to_ids(code.context_token)
        network.img_context_token_id = self.context_token
        network.language_model.config.use_cache = False
        network.language_model.register_forward_hook(_refuse_what_is_not_finite)
        self.network = network.eval().to(self.device)
        self.side_px = int(network.config.force_image_size)
        self.transform = code.data.build_transform(is_train=False, input_size=self.side_px)
        self.reading = threading.Semaphore(NUM_READERS)
        self.scoring = threading.Lock()

    def score(self, question: Question) -> float:
        """FineVQ's score of a video, of about 0 to 100.

        Raises:
            RefusedError: this network cannot be asked so, or has no memory for it.
            NoScoreError: the video cannot be read, or the network makes no number of it.
        """
        import torch  # noqa: PLC0415

        if question.side_px != self.side_px:
            raise RefusedError(f"this FineVQ takes pictures of {self.side_px} pixels a side, not {question.side_px}")
        tokens = self._tokens(question)
        with self.reading:
            frames = self._frames(question.video)
        shown = spread(len(frames), question.num_frames)
        num_moving = max(len(frames), MIN_MOTION_FRAMES)
        moving = spread(len(frames), min(num_moving, question.motion_frames or num_moving))
        try:
            with self.scoring, torch.inference_mode():
                return float(self._score(tokens, [frames[i] for i in shown], [frames[i] for i in moving]))
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise RefusedError(f"no memory for the motion of {len(moving)} frames: set motion_frames", 413) from error

    def _score(self, tokens: dict[str, Any], shown: Sequence[Any], moving: Sequence[Any]) -> Any:
        import torch  # noqa: PLC0415

        answer = self.network(
            pixel_values=torch.stack([self.transform(frame) for frame in shown]).to(self.device, self.dtype),
            pixel_values2=torch.stack([self.transform(frame).to(self.dtype) for frame in moving]).to(self.device),
            image_flags=torch.ones(len(shown), 1, dtype=torch.long, device=self.device),
            **{name: tensor.to(self.device) for name, tensor in tokens.items()},
        )
        return answer["score1"].float().item()

    def _tokens(self, question: Question) -> dict[str, Any]:
        """Ids, labels and mask, each `(1, tokens)`: every frame has its place, and the motion one token."""
        places = "\n".join(f"Frame{number}: <image>" for number in range(1, question.num_frames + 1))
        asked = f"{places}\nMotion Feature: <image>{question.prompt}"
        counts = [*[self.network.num_image_token] * question.num_frames, 1]
        made = self.code.data.preprocess_internlm(
            TEMPLATE,
            [[{"from": "human", "value": asked}, {"from": "ai", "value": ANSWER}]],
            self.tokenizer,
            counts,
            group_by_length=True,  # no padding
            ds_name="request",
            num_image=len(counts),
        )
        # Text beyond the longest question is cut off, and the network then fills in what does not belong together.
        if int((made["input_ids"] == self.context_token).sum()) != sum(counts):
            raise RefusedError(f"{question.num_frames} frames do not fit into FineVQ's {MAX_TOKENS} tokens")
        return {name: made[name] for name in ("input_ids", "labels", "attention_mask")}

    def _frames(self, video: bytes) -> list[Any]:
        """All frames as pictures of the network's size, as FineVQ scales them."""
        import av  # noqa: PLC0415

        try:
            with av.open(io.BytesIO(video)) as container:
                if not container.streams.video:
                    raise NoScoreError("the file has no video")
                container.streams.video[0].thread_type = "AUTO"
                frames = [self._scaled(frame.to_image()) for frame in container.decode(video=0)]
        except (av.error.FFmpegError, ValueError, EOFError) as error:
            raise NoScoreError(f"the video cannot be read ({error})") from error
        if not frames:
            raise NoScoreError("the video has no frames")
        return frames

    def _scaled(self, image: Any) -> Any:
        return self.code.data.dynamic_preprocess(image, image_size=self.side_px, use_thumbnail=True, max_num=1)[0]


def _refuse_what_is_not_finite(_module: Any, _inputs: Any, output: Any) -> None:
    # FineVQ puts 0 in place of what is not a number, and its score then means nothing.
    if not bool(output.hidden_states[-1].isfinite().all()):
        raise NoScoreError("the language model made no numbers of the video")


def spread(num_frames: int, wanted: int) -> list[int]:
    """Indices of `wanted` frames out of `num_frames`: the middles of equal parts of what precedes the last frame."""
    part = (num_frames - 1) / wanted
    return [int(part / 2 + round(part * index)) for index in range(wanted)]


def fingerprint(weights: Path) -> str:
    """Twelve hex digits of a directory's configuration and weights: names, sizes, and the first and last mebibyte."""
    digest = hashlib.sha256()
    for path in sorted(weights.iterdir()):
        if path.suffix not in {".safetensors", ".bin", ".pth"} and path.name != "config.json":
            continue
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(FINGERPRINTED_BYTES))
            file.seek(max(0, size - FINGERPRINTED_BYTES))
            digest.update(file.read())
    return digest.hexdigest()[:12]


def weights_directory(given: str) -> Path:
    """A directory, or that of a Hub id, which is fetched where there is a network.

    Raises:
        FileNotFoundError: there is neither.
    """
    directory = Path(given)
    if not directory.is_dir():
        if directory.is_absolute() or given.startswith(".") or given.count("/") != 1:
            raise FileNotFoundError(f"no such directory of weights: {given}")
        hub: Any = importlib.import_module("huggingface_hub")
        directory = Path(hub.snapshot_download(given))
    if not (directory / "config.json").is_file():
        raise FileNotFoundError(f"{given} has no config.json: it is no directory of FineVQ's weights")
    return directory.resolve()


class Server(ThreadingHTTPServer):
    """Answers several clients at once; FineVQ itself takes one video after the other."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], finevq: FineVq) -> None:
        super().__init__(address, Handler)
        self.finevq = finevq


class Handler(BaseHTTPRequestHandler):
    """The two requests of the protocol."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """What is served."""
        if self.path == "/health":
            self._answer(200, {"model": self.server.finevq.name})
        else:
            self._refuse(404, "ask GET /health or POST /score")

    def do_POST(self) -> None:
        """The score of a video."""
        if self.path != "/score":
            self._refuse(404, "ask GET /health or POST /score")
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True  # the body stays unread
            self._refuse(413, f"a request has at most {MAX_BODY_BYTES} bytes, and says how many")
            return
        try:
            self._answer(200, {"score": self.server.finevq.score(Question.of(self.rfile.read(int(length))))})
        except NoScoreError as error:
            self._answer(200, {"error": str(error)})
        except RefusedError as error:
            self._refuse(error.status, str(error))
        except RuntimeError as error:
            self._refuse(500, f"{type(error).__name__}: {error}")
            self.log_error("%s", error)
            if "CUDA error" in str(error):
                os._exit(1)  # the device is lost to this process: whoever started it starts another

    def _refuse(self, status: int, message: str) -> None:
        self._answer(status, {"error": {"message": message}})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client has gone


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or ctrl-C; returns the exit status: 0 stopped, 2 a person's mistake."""
    parser = argparse.ArgumentParser(prog="python -m infra.servers.finevq", description="Serve FineVQ over HTTP.")
    parser.add_argument("--code", type=Path, required=True, help="checkout of github.com/IntMeGroup/FineVQ")
    parser.add_argument("--weights", required=True, help="directory of FineVQ's weights, or their Hub id")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen at (default: 8000)")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu (default: cuda)")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with socket.create_server((options.host, options.port)):
            """Loading takes minutes: an address that is taken is told before."""
        code = FineVqCode(options.code.resolve())
        finevq = FineVq(code, weights_directory(options.weights), options.device)
        with Server((options.host, options.port), finevq) as server:
            print(f"serving {finevq.name} on {options.device} at http://{options.host}:{options.port}", flush=True)
            server.serve_forever()
    except (ValueError, OSError) as error:
        print(f"soul: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
