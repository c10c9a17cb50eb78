"""The ideal denoiser of a collection of pictures: an exact process without a network.

A text picks pictures c of the collection with probabilities p(c | text). Where each latent is one
of the z_c, the best prediction of x₀ is known in closed form (Karras et al. 2022, Appendix B.3;
Scarvelis et al. 2023, *closed-form diffusion models*):

    E[x₀ | x_t, text] = Σ_c p(c | x_t, text) z_c
    p(c | x_t, text) ∝ p(c | text) exp(−‖x_t − α z_c‖² / 2σ²)        with x_t = α x₀ + σ ε

A perfect student of these pictures would learn just this. The pictures of a text are boards of
n × n cells. Each cell holds one picture, drawn independently, so each is denoised by itself.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

from ..core.errors import InputError
from ..core.process import GuidanceMode
from ..core.reading import tell
from ..core.spec import Fact
from ..core.text import brief
from ..core.types import Conditioning
from .collection import Collection
from .samplers import Sampler, SchedulerSolver, wide_dtype
from .sentences import SentenceEncoder
from .settings import Choice, ProcessSettings

# The noise schedule of Stable Diffusion 1.x and of ``emoji``.
_NOISE: Mapping[str, Any] = {
    "_class_name": "DDIMScheduler",
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "sample",
    "timestep_spacing": "leading",
    "steps_offset": 1,
    "clip_sample": False,
    "set_alpha_to_one": False,
}
_SHARP = 0.002  # of the variance of a code: nearer pictures than this are mixed when decoded
_NO_WEIGHT = 1e-9  # of a picture in a mixture; all such together show less than 1e-5
_CACHE = 24 * 2**20  # bytes of posterior weights in a batch: about what a processor's cache holds
_NATIVE = Choice(sampler="ddim", steps=10, guidance=1.0)


@dataclass(frozen=True)
class Board:
    """How a text becomes boards of pictures.

    side:        n; a board has n × n cells
    temperature: τ in p(c | text) = softmax over c of cos(text, caption of c) / τ. A small τ draws
                 the nearest pictures alone
    standardised: each text's cosines are first brought to mean 0 and deviation 1 over the pictures.
                 So precise and vague texts draw from equally many pictures, more or less. For
                 large collections
    """

    side: int = 4
    temperature: float = 0.08
    standardised: bool = False

    def __post_init__(self) -> None:
        side: object = self.side
        if not isinstance(side, int) or isinstance(side, bool) or not 1 <= side <= 64:
            raise InputError(f"board must be a whole number from 1 to 64, not {brief(self.side)}")
        if not isinstance(self.temperature, int | float) or not 0 < self.temperature < 1e6:
            raise InputError(f"temperature must be above 0, not {brief(self.temperature)}")
        if not isinstance(self.standardised, bool):
            raise InputError(f"standardised is true or false, not {brief(self.standardised)}")

    def log_weights(self, cosine: Tensor) -> Tensor:
        """log p(c | text) from cosines (n, C), float64."""
        if self.standardised:
            spread = cosine.std(dim=1, correction=0, keepdim=True).clamp_min(1e-12)
            cosine = (cosine - cosine.mean(dim=1, keepdim=True)) / spread
        return torch.log_softmax(cosine / self.temperature, dim=1)


class IdealProcess:
    """A ``GenerativeProcess`` of a collection, its captions read by a text encoder.

    A prompt is ``log_weights`` (C,), the logarithm of p(c | text). With guidance w ≠ 1, ε_∅ is that
    of no text, under which all pictures are equally likely. Latents are (channels, n·s, n·s): a
    board of n × n codes, each of s × s positions.
    """

    guidance_mode: GuidanceMode = "classifier-free"

    def __init__(
        self,
        collection: Collection,
        encoder: SentenceEncoder,
        captions: Tensor | None = None,
        *,
        board: Board = Board(),  # noqa: B008  (frozen)
        choice: Choice = _NATIVE,
        batch_size: int | None = None,
        device: torch.device | None = None,
    ) -> None:
        """captions: (C, width), the captions' vectors; None has the encoder make them."""
        self.name = collection.name
        self.revision = f"{collection.revision}+{encoder.revision.removeprefix('sha256-')}"
        self.device = device or torch.device("cpu")
        self.collection, self._encoder = collection, encoder
        self._captions = encoder(collection.captions) if captions is None else captions
        self._batch_size = batch_size
        self._settle(choice, board)

    def __repr__(self) -> str:
        return (
            f"<IdealProcess {self.name!r} ({self.revision}): {len(self.collection)} pictures,"
            f" {self.board.side} × {self.board.side}, τ={self.board.temperature:g},"
            f" {self.sampler}, T={len(self.schedule)}, w={self.guidance:.12g}>"
        )

    @classmethod
    def with_choice(
        cls, collection: Collection, encoder: SentenceEncoder, board: Board, **settings: Any
    ) -> Self:
        """As ``load`` gives the settings: sampler, steps, guidance, …, device and batch_size."""
        from .devices import settle

        captions: Tensor | None = settings.pop("captions", None)
        device, chosen = settle(ProcessSettings(**settings))
        choice = chosen.over(_NATIVE)
        if choice.dtype not in ("float32", "float64"):
            raise InputError(
                f"{collection.name} has no network to run in {choice.dtype}: take float32 or"
                " float64"
            )
        return cls(
            collection,
            encoder,
            captions,
            board=board,
            choice=choice,
            batch_size=chosen.batch_size,
            device=device,
        )

    def with_settings(
        self,
        *,
        board: int | None = None,
        temperature: float | None = None,
        standardised: bool | None = None,
        **changes: Any,
    ) -> Self:
        """The same collection as another process. None keeps a setting.

        board: n of its n × n cells; temperature, standardised: as in ``Board``; changes: sampler,
        steps, guidance, eta, compare. Raises InputError as ``load`` does.
        """
        taken = ("sampler", "steps", "guidance", "eta", "compare")
        if unknown := sorted(changes.keys() - {*taken}):
            raise InputError(f"{self.name} has no setting {unknown[0]!r:.80} to change")
        own = self._chosen
        if changes.get("sampler") is not None and changes.get("eta") is None:
            own = replace(own, eta=0.0)
        new = Board(
            self.board.side if board is None else board,
            self.board.temperature if temperature is None else temperature,
            self.board.standardised if standardised is None else standardised,
        )
        other = copy.copy(self)
        other._settle(ProcessSettings(**changes).over(own), new)
        return other

    # ------------------------------------------------------------------ the contract

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        """The texts of which the tokenizer knows no token → why."""
        return self._encoder.reader.unreadable(texts)

    def remarks(self, texts: Sequence[str]) -> list[Warning]:
        """Warnings of texts that are cut, or known in part."""
        return self._encoder.reader.remarks(texts)

    def embed(self, prompts: Sequence[str]) -> Conditioning:
        """n prompts → ``log_weights`` (n, C): log p(c | prompt)."""
        for reason in self.unreadable(prompts).values():
            raise InputError(reason)
        for warning in self.remarks(prompts):
            tell(warning)
        cosine = self._encoder(prompts).to(self._captions) @ self._captions.T
        weights = self.board.log_weights(cosine.double())
        return Conditioning({"log_weights": weights.to(self.device, self.latent_dtype)})

    def unconditional(self) -> Conditioning | None:
        """Equal weights; None without guidance."""
        if self.guidance == 1:
            return None
        count = len(self.collection)
        equal = torch.full((1, count), -float(torch.tensor(count).log()), dtype=self.latent_dtype)
        return Conditioning({"log_weights": equal.to(self.device)})

    @torch.inference_mode()
    def predict(self, x: Tensor, step: Tensor, conditioning: Conditioning) -> Tensor:
        """ε = (x − α E[x₀ | x]) / σ, in float64 where the device has it: (n, *latent_shape)."""
        j = step.to(self.device)
        scale, alpha, sigma = (table[j].reshape(-1, 1, 1) for table in self._tables)
        cells = self._cells(x) * scale.to(x)
        mean = self.posterior_mean(cells, alpha.to(x), sigma.to(x), conditioning)
        wide = cells.to(scale.dtype)
        return self._boards((wide - alpha * mean.to(wide)) / sigma)

    def posterior_mean(
        self, cells: Tensor, alpha: Tensor, sigma: Tensor, conditioning: Conditioning
    ) -> Tensor:
        """E[x₀ | x_t, text] of each cell: the equation at the top of this module.

        cells:        (n, cells, d), αx₀ + σε; alpha, sigma: (n, 1, 1)
        conditioning: n rows, or one for all
        """
        weights = conditioning.tensors["log_weights"].unsqueeze(1).to(cells)
        ratio = alpha / sigma**2
        # −‖x − αz‖²/2σ², less −‖x‖²/2σ², which all pictures share
        # In place, in memory that is used again: fresh blocks of this size would leave holes.
        shape = (*cells.shape[:2], len(self._codes))
        room = self._take_room(math.prod(shape))
        logits = room[: math.prod(shape)].view(shape)
        torch.matmul(cells * ratio, self._codes.T, out=logits)
        logits += weights - (alpha * ratio / 2) * self._norms
        posterior = logits.sub_(logits.amax(dim=2, keepdim=True)).exp_()
        found = posterior @ self._codes / posterior.sum(dim=2, keepdim=True)
        self._rooms.append(room)
        return found

    def solver(self) -> SchedulerSolver:
        """A fresh solver, for one batch of trajectories in lockstep."""
        return self._sampler.solver()

    def denoised(self, x: Tensor, step: int, prediction: Tensor) -> Tensor:
        """x̂₀, what a prediction at x_j says of the end: (n, *latent_shape), as ``decode`` takes it.

        x: (n, *latent_shape), in the solver's scale; prediction: the same shape
        """
        alpha, sigma = self._sampler.alpha_sigma[step]
        wide = x.to(wide_dtype(x)) * self._sampler.input_scale[step]
        return ((wide - sigma * prediction.to(wide)) / alpha).to(self.latent_dtype)

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """x_0 (n, *latent_shape) → pictures (n, 3, height, width), float32 in 0 … 1.

        A cell shows the collection's pictures, mixed by how near its latent is to their codes. At
        the end of a trajectory that is one picture.
        """
        cells = self._cells(latents.to(self.device, self.latent_dtype))
        gaps = torch.cdist(cells, self._codes.expand(len(cells), -1, -1)).square()
        nearest = gaps.min(dim=2, keepdim=True).values
        mixed = torch.softmax(-gaps / (_SHARP * self._codes.shape[1] + nearest / 4), dim=2)
        pictures = self.collection.pictures
        shown = []
        for weights in mixed.float():  # few pictures have any weight: 40 to 70 of emoji-ideal's
            used = weights.amax(dim=0) > _NO_WEIGHT
            flat = pictures[used.to(pictures.device)].to(self.device).flatten(1).float() / 255
            shown.append(weights[:, used] @ flat)
        side = self.board.side
        board = torch.stack(shown).reshape(-1, side, side, *pictures.shape[1:])
        return board.permute(0, 3, 1, 4, 2, 5).flatten(2, 3).flatten(3, 4).clamp(0, 1)

    # ------------------------------------------------------------------ inside

    def _settle(self, choice: Choice, board: Board) -> None:
        """Take on sampler, steps, guidance, dtype and board."""
        refused = {"negative_prompt": choice.negative_prompt, "size": choice.size}
        if foreign := [name for name, value in refused.items() if value is not None]:
            raise InputError(f"{self.name} takes no {foreign[0]}: leave it out")
        self._chosen, self.board = choice, board
        self.sampler, self.guidance = choice.sampler, float(choice.guidance)
        self.dtype, self.compare = choice.dtype, choice.compare
        self.latent_dtype = torch.float64 if choice.dtype == "float64" else torch.float32
        self._sampler = Sampler(choice.sampler, choice.steps, _NOISE, choice.eta)
        self.schedule = self._sampler.schedule
        factors = self._sampler.comparison_factors("sample", choice.compare)
        self.comparison_scale, self.comparison_shift = zip(*factors, strict=True)
        codes = self.collection.codes
        channels, height, width = codes.shape[1:]
        self.latent_shape = (channels, height * board.side, width * board.side)
        self._codes = codes.flatten(1).to(self.device, self.latent_dtype)
        self._norms = self._codes.square().sum(dim=1)
        self._rooms: list[Tensor] = []  # that no thread uses now
        kind = wide_dtype(self._codes)
        tables = (self._sampler.input_scale, *zip(*self._sampler.alpha_sigma, strict=True))
        self._tables = [torch.tensor(t, dtype=kind, device=self.device) for t in tables]
        row = board.side**2 * len(codes) * self._codes.element_size()
        self.batch_size = self._batch_size or max(1, min(1024, _CACHE // row))
        self.settings: dict[str, Fact] = {
            "board": f"{board.side}x{board.side}",
            "temperature": float(board.temperature),
        }
        if board.standardised:
            self.settings["standardised"] = True
        if choice.eta:
            self.settings["eta"] = float(choice.eta)

    def _take_room(self, count: int) -> Tensor:
        """Memory for at least ``count`` numbers, whatever it holds. No two threads get the same."""
        try:
            room = self._rooms.pop()
        except IndexError:
            room = self._codes[:0, 0]
        if len(room) >= count:
            return room
        with torch.inference_mode(False):
            return self._codes.new_empty(count)

    def _cells(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) → (n, cells, d)."""
        side, shape = self.board.side, self.collection.codes.shape[1:]
        split = x.reshape(len(x), shape[0], side, shape[1], side, shape[2])
        return split.permute(0, 2, 4, 1, 3, 5).reshape(len(x), side * side, -1)

    def _boards(self, cells: Tensor) -> Tensor:
        """What ``_cells`` undoes."""
        side, shape = self.board.side, self.collection.codes.shape[1:]
        split = cells.reshape(len(cells), side, side, *shape)
        return split.permute(0, 3, 1, 4, 2, 5).reshape(len(cells), *self.latent_shape)


def settings_of(card: Mapping[str, Any], where: str) -> Board:
    """The board that a card asks for, under the names that a card has; InputError for others."""
    names = {"board": "side", "temperature": "temperature", "standardised": "standardised"}
    known = {field.name for field in fields(Board)}
    given = {names[key]: value for key, value in card.items() if key in names}
    assert known == {*names.values()}
    try:
        return Board(**given)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
