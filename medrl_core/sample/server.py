"""A server as a model: greedy and sampled answers from any OpenAI-compatible chat endpoint.

    server = Server("http://localhost:8000/v1", "my-model")
    for completions in server.sample(items, k=16, model_hash=server.fingerprint()):
        ...                                     # lists of `Completion`, as `sampling.sample` gives

vLLM, SGLang, llama.cpp and vendors speak this protocol. The `openai` package sends, waits and tries
again (429, 5xx, cut connections, with its backoff and the server's Retry-After); here is what is
asked, how often, and what an answer means. It needs no torch.
Run its test: `pytest tests/sample/test_server.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Queue
from threading import Lock, Thread
from typing import Any
from urllib.parse import urlsplit

from medrl_core.data.items import Item
from medrl_core.data.pictures import data_url, png
from medrl_core.data.prompts import prompt_hash, user_text
from medrl_core.errors import UserError, first_three, printable
from medrl_core.sample.completions import GREEDY, Completion, Decoding, rollout_key

# What a server says of a model and what does not change from one question to the next.
LASTING = ("id", "root", "parent", "owned_by", "max_model_len")


class Spent(UserError):
    """The requests that were allowed are sent; what was answered is kept."""


@dataclass
class Server:
    """An OpenAI-compatible chat endpoint and how it is asked.

    Arguments:
        url: base address, up to and with `/v1` where the server has that.
        model: name of the model there.
        key_variable: environment variable with the key; unset for a server that asks for none. Its
            value is sent and written nowhere.
        at_once: requests that are open at the same time.
        per_request: most samples asked for in one request.
        timeout: seconds that a request may take.
        retries: how often a request is sent again after 429, 5xx or a cut connection.
        max_requests: requests that may be sent, retries among them; None: no limit.
    """

    url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    at_once: int = 8
    per_request: int = 16
    timeout: float = 300.0
    retries: int = 5
    max_requests: int | None = None
    sent: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        import openai

        place = urlsplit(self.url)
        if place.scheme not in ("http", "https") or not place.hostname:
            raise UserError(
                f"--server {self.url} is no address: give one as http://localhost:8000/v1"
            )
        self._key = os.environ.get(self.key_variable, "")
        self._lock, self._told = Lock(), False
        self._errors: Any = openai
        self._client: Any = openai.OpenAI(
            base_url=self.url, api_key=self._key or "none", timeout=self.timeout,
            max_retries=self.retries,
            http_client=openai.DefaultHttpxClient(event_hooks={"request": [self._count]}),
        )  # fmt: skip

    def fingerprint(self) -> str:
        """Ask what the server says of the model, and hash that with its address and name.

        It stands where the hash of weights stands for a local model, and is none: a server may
        change its weights and say nothing.

        Raises: UserError, one line: no answer, no right to ask, or no such model.
        """
        models = self._tell(lambda: list(self._client.models.list()), "its list of models")
        found = [one for one in models if getattr(one, "id", None) == self.model]
        if not found:
            known = [str(getattr(one, "id", one)) for one in models]
            raise UserError(
                f"{self.url} has no model {self.model!r}; it has {first_three(known) or 'none'}"
            )
        said = found[0].model_dump()
        told = {name: said[name] for name in LASTING if said.get(name) is not None}
        text = json.dumps([self.url.rstrip("/"), self.model, told], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def sample(
        self,
        items: Sequence[Item],
        *,
        k: int,
        decoding: Decoding | None = None,
        seed: int = 0,
        model_hash: str = "",
        done: Collection[tuple[str, str, str, str, int]] = (),
    ) -> Iterator[list[Completion]]:
        """Draw K completions of each item, and the greedy one.

        Arguments: as `medrl_core.sample.sampling.sample`; what is `done` is not asked again.
        Returns: an iterator over what has been answered since, in the order of the answers.
        Raises: UserError, one line, for what retries did not help; what was answered before has
        been given already. Spent: as many requests as were allowed are sent.
        """
        decoding, done = decoding or Decoding(), set(done)
        asked: Queue[tuple[Item, str, list[int]]] = Queue()
        answers: Queue[list[Completion] | BaseException] = Queue()

        def work() -> None:
            while True:
                item, hashed, indices = asked.get()
                try:
                    answers.put(self._ask(item, hashed, indices, decoding, seed))
                except BaseException as error:
                    answers.put(error)

        # Daemons, so that the end of the command does not wait for a server.
        for _ in range(self.at_once):
            Thread(target=work, daemon=True).start()
        todo = self._requests(items, k, decoding, model_hash, done)
        open_, failed = 0, None
        while True:
            while failed is None and open_ < self.at_once and (task := next(todo, None)):
                asked.put(task)
                open_ += 1
            if not open_:
                break
            found = [answers.get()]
            while not answers.empty():
                found.append(answers.get())
            open_ -= len(found)
            # What is still being answered is paid for: it is kept before an error is told.
            failed = next((one for one in found if isinstance(one, BaseException)), failed)
            if kept := [one for part in found if isinstance(part, list) for one in part]:
                yield kept
        if failed is not None:
            raise failed

    def _requests(
        self, items: Sequence[Item], k: int, decoding: Decoding, model_hash: str, done: set
    ) -> Iterator[tuple[Item, str, list[int]]]:
        """What is missing, as requests: the greedy answer by itself, samples several at a time."""
        for item in items:
            hashed = prompt_hash(item)
            left = [
                index for index in (GREEDY, *range(k))
                if rollout_key(item, hashed, index, decoding, model_hash) not in done
            ]  # fmt: skip
            if GREEDY in left:
                yield item, hashed, [GREEDY]
            drawn = [index for index in left if index != GREEDY]
            for first in range(0, len(drawn), self.per_request):
                yield item, hashed, drawn[first : first + self.per_request]

    def _ask(
        self, item: Item, hashed: str, indices: list[int], decoding: Decoding, seed: int
    ) -> list[Completion]:
        """Ask for some completions of an item, again for those that a server left out."""
        found: list[Completion] = []
        while len(found) < len(indices):
            left = indices[len(found) :]
            if self.max_requests is not None and self.sent >= self.max_requests:
                raise self._spent()
            answer = self._tell(
                lambda left=left: self._client.chat.completions.create(
                    model=self.model, messages=_messages(item), max_tokens=decoding.max_new_tokens,
                    n=len(left), seed=_seed(seed, item.item_id, left[0]),
                    **_drawing(decoding, left[0] == GREEDY),
                ),
                f"item {item.item_id}",
            )  # fmt: skip
            texts = self._texts(answer, item, decoding.max_new_tokens)[: len(left)]
            if len(texts) < len(left):
                self._say_once(f"{self.url} gives {len(texts)} answers where {len(left)} are asked")
            for index, (text, tokens, ended) in zip(left, texts, strict=False):
                found.append(Completion(item, hashed, index, text, tokens, ended, None))
        return found

    def _texts(self, answer: Any, item: Item, most: int) -> list[tuple[str, int, bool]]:
        """Text, tokens and whether it ended, of each choice.

        A server counts the tokens of a request, not of a choice: a choice that was cut off has as
        many as were allowed, and the others share what is left evenly.
        """
        choices = getattr(answer, "choices", None)
        if not choices or any(getattr(one, "message", None) is None for one in choices):
            said = printable(str(answer))[:200]
            raise UserError(f"{self.url} answers item {item.item_id} without choices: {said}")
        cut = [one.finish_reason == "length" for one in choices]
        used = getattr(answer.usage, "completion_tokens", None) or 0
        whole = max(1, len(choices) - sum(cut))
        share = min(most, max(0, round((used - most * sum(cut)) / whole)))
        return [
            (_text(one.message), most if short else share, not short)
            for one, short in zip(choices, cut, strict=True)
        ]

    def _count(self, _request: Any) -> None:
        with self._lock:
            if self.max_requests is not None and self.sent >= self.max_requests:
                raise self._spent()  # by a retry; `_ask` looks before it asks
            self.sent += 1

    def _spent(self) -> Spent:
        return Spent(
            f"{self.sent} requests are sent, as --max-requests allows; what was answered is kept: "
            "give the command again to go on"
        )

    def _say_once(self, line: str) -> None:
        with self._lock:
            if not self._told:
                print(f"medrl: {line}; the rest is asked for again", file=sys.stderr, flush=True)
            self._told = True

    def _tell(self, call: Any, what: str) -> Any:
        """Do a call, and turn what fails into one line that never has the key in it."""
        errors = self._errors
        try:
            return call()
        except UserError:
            raise
        except errors.APITimeoutError:
            raise UserError(
                f"{self.url} did not answer {what} within {self.timeout:g} s; raise --timeout"
            ) from None
        except errors.APIConnectionError as error:
            if isinstance(spent := error.__cause__, Spent):
                raise spent from None
            raise UserError(
                f"{self.url} cannot be reached ({self._said(error.__cause__ or error)}); start the "
                "server, or check the address"
            ) from None
        except (errors.AuthenticationError, errors.PermissionDeniedError) as error:
            where = "is not set" if not self._key else "was refused"
            raise UserError(
                f"{self.url} refuses access: ${self.key_variable} {where} ({self._said(error)})"
            ) from None
        except errors.APIStatusError as error:
            raise UserError(
                f"{self.url} refuses {what} with {error.status_code}: {self._said(error)}"
            ) from None
        except (errors.OpenAIError, ValueError, AttributeError, TypeError) as error:
            raise UserError(
                f"{self.url} answers {what} with something else than the protocol has: "
                f"{self._said(error)}"
            ) from None

    def _said(self, error: BaseException) -> str:
        said = printable(" ".join(str(error).split()))
        return (said.replace(self._key, "[key]") if self._key else said)[:300]


def _messages(item: Item) -> list[dict[str, Any]]:
    """The user's turn: images as data URLs, then the text."""
    if not item.images:
        return [{"role": "user", "content": user_text(item)}]
    content: list[dict[str, Any]] = []
    for image in item.images:
        address = {"url": data_url(png(image))}
        content.append({"type": "image_url", "image_url": address})
    return [{"role": "user", "content": [*content, {"type": "text", "text": user_text(item)}]}]


def _drawing(decoding: Decoding, greedy: bool) -> dict[str, Any]:
    if greedy:
        return {"temperature": 0.0}
    extra = {"extra_body": {"top_k": decoding.top_k}} if decoding.top_k else {}
    return {"temperature": decoding.temperature, "top_p": decoding.top_p, **extra}


def _seed(seed: int, item_id: str, index: int) -> int:
    """The seed of a request: of nothing but what it asks for, so that a new run may repeat it."""
    key = hashlib.sha256(f"{seed}|{item_id}|{index}".encode()).digest()
    return int.from_bytes(key[:4], "little") >> 1


def _text(message: Any) -> str:
    """What was said; reasoning that the server keeps apart goes back between its tags."""
    said = message.content or ""
    apart = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    return f"<think>{apart}</think>{said}" if isinstance(apart, str) and apart else said
