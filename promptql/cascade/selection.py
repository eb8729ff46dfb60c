"""Select rows as a judge would, asking about few of them, with a guarantee beside asking about all.

1. *Learn.* A logistic head on the rows' embeddings is trained on the judge's labels of an even sample and of the
   likeliest rows, again and again (continuous active learning: Cormack and Grossman, SIGIR 2014), until the schedule
   that is cheapest by its probabilities would read hardly any more of them.
2. *Audit.* Each row left is read with the same probability, whatever its score. The labels are hidden from the head.
3. *Keep.* At the top, the longest stretch is kept unread whose wrong ones are few enough. Stretches are tried from
   short to long until one fails, each at the whole level (fixed-sequence testing; Bauer, Statistics in Medicine 10,
   1991).
4. *Descend.* Rows are read, likeliest first, until what the audit found in the rest bounds what would be missed there.

Why step 4 may look after every batch without paying for it: whether a row is in the audit is an independent coin, also
given all that the head has learnt, for it never sees a label of the audit before that row has been passed. Count the
rows that belong from the last one upward: of those not in the audit, let the (B + 1)th be the one too many. Stopping
above it needs the audit to have found no more of them than the bound for B + 1 allows, and so has a probability of at
most delta (Clopper and Pearson's bound; that it holds for every cut at once follows from the cuts being nested). It
assumes nothing of the head: a useless one costs calls, not recall. Selection by proxies with a guarantee is SUPG's
(Kang et al., PVLDB 13, 2020), whose bounds are asymptotic; that exact ones pay at small samples was shown by BARGAIN
(Zeighami, Shankar and Parameswaran, arXiv:2509.02896); LOTUS (Patel et al., arXiv:2407.11418) puts such cascades into
semantic operators.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from promptql.cascade.bounds import total_upper, unread_upper
from promptql.cascade.certificate import Certificate, Method
from promptql.cascade.head import Features, LogisticHead, calibration_of, fit_head, sigmoid
from promptql.cascade.quality import Quality, Target
from promptql.cascade.schedule import Aims, Schedule, cheapest

Places: TypeAlias = npt.NDArray[np.int64]
Labels: TypeAlias = npt.NDArray[np.int8]
Judge: TypeAlias = Callable[[Places], Labels]

KEPT, LEFT_OUT = 1, 0  # what a judge says of a row
FAILED = -1  # it was asked, and gave no label
NOT_ASKED = -2  # the budget, or the time, has ended
UNREAD = -3  # nobody was asked

ROWS_MIN = 100  # of fewer, all are judged: there is nothing to save
EVEN_SHARE = 0.025  # of the rows, drawn evenly to begin with
EVEN_MIN, EVEN_MAX = 24, 80
ALIKE_FIRST = 16  # those most like the instruction are read with them
BATCH_MIN, BATCH_MAX = 16, 96
BATCH_SHARE = 0.2  # a batch grows with what has been read
SETTLED = 8  # rows that the schedule may still want to read when learning ends
WORTHWHILE = 0.9  # of the rows left; a schedule that reads more is not worth its risk
HELPER_SPREAD = 5.0  # of the helper's word among the features
PROBE_SHARE = 0.02  # of the rows, drawn evenly when the head thinks it has found nearly all
PROBES_MAX = 3
SURPRISES = 2  # found by a probe; with so many there is more to learn
FORGET = 0.5  # of what batches before the last one say about the head's calibration
TRUST_MAX = 1.5
RETRAIN_SHARE = 0.1  # of the labels; with so many new ones the head is trained again
LENGTHS = (0.5, 0.65, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4)  # of the stretch kept unread, beside the schedule's
EVEN_ODDS = 0.5  # the chance that an estimated bound is too low, where nothing is promised
HEAVY_SHARE = 0.1  # inputs that stand for most rows are always judged


@dataclass(frozen=True, slots=True)
class Selection:
    """What was kept.

    Attributes:
        kept: (rows,) bool.
        confidence: (rows,) how sure the row's own decision is: 1 where the judge said so, else the head's probability.
        labels: (rows,) the judge's; `UNREAD` where the proxy decided, or nobody.
        certificate: what is promised.
    """

    kept: npt.NDArray[np.bool_]
    confidence: npt.NDArray[np.float64]
    labels: Labels
    certificate: Certificate


def select(
    features: Features,
    judge: Judge,
    quality: Quality,
    *,
    seed: int = 0,
    similarity: npt.NDArray[np.floating] | None = None,
    weights: npt.NDArray[np.int64] | None = None,
    helper: Judge | None = None,
    judged_max: int | None = None,
    judge_error_rate: float | None = None,
) -> Selection:
    """Decide for every row whether it is kept.

    Args:
        features: of distinct inputs, by `features_of` their embeddings.
        judge: labels places; asked about each place at most once. `FAILED` where it has no answer, `NOT_ASKED` where it
            may not go on: then what is known so far is the result.
        quality: what is promised.
        seed: of the draws. The guarantee is over these, so a caller fixes it before seeing the rows.
        similarity: (rows,) of each row to what is asked for.
        weights: (rows,) how many rows an input stands for; the promise counts these.
        helper: a cheaper judge. What it says of uncertain rows is one more feature of the head, never a label.
        judged_max: rows that may be judged.
        judge_error_rate: how often the judge is known to err; only told.
    """
    rows = len(features)
    weight = np.ones(rows, dtype=np.int64) if weights is None else np.asarray(weights, dtype=np.int64)
    random = np.random.default_rng(seed)
    state = _State(judge, helper, np.full(rows, UNREAD, dtype=np.int8), judged_max, weight)
    cascade = _Cascade(quality, random, state)
    try:
        if rows < ROWS_MIN:
            state.read(np.arange(rows))
        else:
            cascade.run(features, similarity)
    except _StoppedError:
        cascade.interrupted = True
    return cascade.result(judge_error_rate)


class _StoppedError(Exception):
    """The judge may not go on."""


@dataclass(slots=True)
class _State:
    """Who has been asked about what."""

    judge: Judge
    helper: Judge | None
    labels: Labels
    judged_max: int | None
    weights: npt.NDArray[np.int64]
    helper_labels: Labels | None = None

    def read(self, places: Places) -> None:
        """Ask the judge about places not read yet.

        Raises:
            _StoppedError: it was not asked about all of them.
        """
        places = places[self.labels[places] == UNREAD]
        wanted = len(places)
        if self.judged_max is not None:
            places = places[: max(0, self.judged_max - self.judged)]
        if len(places):
            said = np.asarray(self.judge(places), dtype=np.int8)
            asked = said != NOT_ASKED
            self.labels[places[asked]] = said[asked]
            if not asked.all():
                raise _StoppedError
        if len(places) < wanted:
            raise _StoppedError

    @property
    def judged(self) -> int:
        return int((self.labels != UNREAD).sum())

    @property
    def known(self) -> Places:
        """Places with a label."""
        return np.flatnonzero(self.labels >= 0)

    @property
    def unread(self) -> Places:
        return np.flatnonzero(self.labels == UNREAD)

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        kept: npt.NDArray[np.bool_] = self.labels == KEPT
        return kept


@dataclass(slots=True)
class _Audit:
    """A draw by independent coins of one rate among `rows`, those not read when it began."""

    rate: float
    rows: Places
    drawn: npt.NDArray[np.bool_]  # (all rows,)
    tail: npt.NDArray[np.bool_]  # (all rows,) not yet passed
    complete: bool = False


@dataclass(slots=True)
class _Cascade:
    """One selection on its way."""

    quality: Quality
    random: np.random.Generator
    state: _State
    interrupted: bool = False
    even: Places = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    audit: _Audit | None = None
    accepted: npt.NDArray[np.bool_] | None = None  # (rows,) kept without being read
    wrong_upper: int = 0  # of the accepted, those that do not belong, at most
    probabilities: npt.NDArray[np.float64] | None = None
    head: LogisticHead | None = None
    delta_missed: float = 0.0
    unit: int = 1  # rows that an input left to the proxy stands for, at most
    calibration: tuple[float, float] = (1.0, 0.0)
    base: float = 0.0  # probability of every row beyond what the head gives, by the last probe
    expected: float = 0.0  # of the last batches, rows that would belong by the head
    belonged: float = 0.0  # and those that did
    hidden: npt.NDArray[np.bool_] | None = None  # (rows,) labels that the head may not see yet

    # ── the way ──

    def run(self, features: Features, similarity: npt.NDArray[np.floating] | None) -> None:
        """All four steps; a schedule that saves little reads all rows instead."""
        self._begin(similarity)
        features, schedule = self._learn(features)
        if schedule is None:
            self.state.read(self.state.unread)
            return
        self._audit(schedule)
        if schedule.kept:
            self._keep(schedule)
        self._descend(features)

    def _begin(self, similarity: npt.NDArray[np.floating] | None) -> None:
        state, rows = self.state, len(self.state.labels)
        share = int(np.clip(EVEN_SHARE * rows, EVEN_MIN, EVEN_MAX))
        even = self.random.permutation(rows)[:share].astype(np.int64)
        try:
            state.read(even)
        finally:
            self.even = even[state.labels[even] != UNREAD]
        if similarity is not None:
            state.read(np.argsort(-similarity, kind="stable")[:ALIKE_FIRST])
        order = np.argsort(-state.weights, kind="stable")
        typical = int(state.weights[order[min(rows - 1, int(HEAVY_SHARE * rows))]])
        state.read(np.flatnonzero(state.weights > typical))
        self.unit = typical

    def _learn(self, features: Features) -> tuple[Features, Schedule | None]:
        """Train and read until little is left to read but the audit; None where all had better be read."""
        state = self.state
        rounds = probes = 0
        while len(state.unread):
            self._train(features)
            order = self._order(state.unread)
            schedule = self._schedule(order)
            rounds += 1
            if state.helper is not None and state.helper_labels is None and rounds > 1:
                features = self._ask_helper(features, order[: int(1.5 * schedule.read) + BATCH_MIN])
                continue
            if self._learnt_enough(schedule):
                if probes < PROBES_MAX and self._surprised():
                    probes += 1
                    continue
                return features, self._within_budget(self._schedule(self._order(state.unread)))
            self._read_and_compare(self._next(order, schedule))
        return features, None

    def _read_and_compare(self, batch: Places) -> None:
        """Read a batch, and remember how many of it belonged beside what the head expected."""
        assert self.probabilities is not None
        expected = float(self.probabilities[batch].sum())
        self.state.read(batch)
        self.expected = FORGET * self.expected + expected
        self.belonged = FORGET * self.belonged + float(self.state.found[batch].sum())

    def _surprised(self) -> bool:
        """Read an even draw of the rest, which shows what kinds of rows the head has never seen; whether it did."""
        state = self.state
        assert self.probabilities is not None
        unread = state.unread
        probe = self.random.permutation(unread)[: max(BATCH_MIN, int(PROBE_SHARE * len(state.labels)))]
        state.read(probe)
        seen = int(state.found[probe].sum())
        self.base = max(0.0, seen / len(probe) - float(self.probabilities[unread].mean()))
        return seen >= SURPRISES

    def _learnt_enough(self, schedule: Schedule) -> bool:
        state = self.state
        if state.judged_max is not None and state.judged > 0.55 * state.judged_max:
            return True
        return schedule.read - schedule.kept <= max(SETTLED, len(state.labels) // 100)

    def _within_budget(self, schedule: Schedule) -> Schedule | None:
        """The schedule; with an audit that leaves something for reading on, where it was planned beyond the budget."""
        state = self.state
        unread = len(state.unread)
        if state.judged_max is None or state.judged + schedule.cost <= state.judged_max:
            return schedule if schedule.cost < WORTHWHILE * unread else None
        rate = min(schedule.rate, 0.6 * (state.judged_max - state.judged) / max(1, unread))
        return Schedule(max(rate, 1e-3), 0, schedule.read, schedule.cost)

    def _next(self, order: Places, schedule: Schedule) -> Places:
        """Of the rows to be read anyway, the likeliest; where some are kept unread, those that the head knows least."""
        size = int(np.clip(BATCH_SHARE * self.state.judged, BATCH_MIN, BATCH_MAX))
        band = order[schedule.kept : schedule.read]
        if schedule.kept == 0 or self.probabilities is None:
            return band[:size]
        return band[np.argsort(np.abs(self.probabilities[band] - 0.5), kind="stable")[:size]]

    def _audit(self, schedule: Schedule) -> None:
        """Toss a coin for every unread row, and read those drawn in an order of their own."""
        state = self.state
        unread = state.unread
        drawn = np.zeros(len(state.labels), dtype=np.bool_)
        drawn[unread] = self.random.random(len(unread)) < schedule.rate
        tail = np.zeros(len(state.labels), dtype=np.bool_)
        tail[unread] = True
        self.audit = _Audit(schedule.rate, unread, drawn, tail)
        self.hidden = drawn.copy()
        state.read(self.random.permutation(np.flatnonzero(drawn)))
        self.audit.complete = True

    def _keep(self, schedule: Schedule) -> None:
        """Keep the longest stretch from the top in which the audit finds few enough that do not belong."""
        audit, state, aims = self.audit, self.state, self._aims()
        assert audit is not None
        assert self.hidden is not None
        self.delta_missed = aims.delta_missed
        order = self._order(audit.rows)
        sure = int(state.weights[state.found & ~audit.drawn].sum())  # right for certain, and known before the audit
        for length in LENGTHS:
            stretch = order[: int(length * schedule.kept)]
            bad = audit.drawn[stretch] & (state.labels[stretch] != KEPT)
            upper = unread_upper(int(bad.sum()), audit.rate, aims.delta_wrong)
            size = sure + int(state.weights[stretch].sum() - state.weights[stretch[bad]].sum())
            if self.unit * upper > aims.wrong * size:
                break
            accepted = np.zeros(len(state.labels), dtype=np.bool_)
            accepted[stretch[~audit.drawn[stretch]]] = True
            self.accepted, self.wrong_upper = accepted, upper
            audit.tail[stretch] = False
            self.hidden[stretch] = False

    def _descend(self, features: Features) -> None:
        """Read on, likeliest first, until the audit bounds what is missed in the rest."""
        audit, state = self.audit, self.state
        assert audit is not None
        assert self.hidden is not None
        trained = self._visible()
        while audit.tail.any():
            if self._enough():
                return
            if self._visible() > (1 + RETRAIN_SHARE) * trained:
                self._train(features)
                trained = self._visible()
            order = self._order(np.flatnonzero(audit.tail))
            passed = order[: int(np.clip(0.04 * len(order), BATCH_MIN // 2, BATCH_MAX))]
            state.read(passed)
            audit.tail[passed] = False
            self.hidden[passed] = False

    def _enough(self) -> bool:
        return self.unit * self._missed_upper(self.delta_missed) <= self._aims().missed * self._found_lower()

    # ── what is known ──

    def _aims(self) -> Aims:
        value, delta = self.quality.value, self.quality.delta
        if self.quality.target is Target.PRECISION:
            return Aims((1 - value) / value, 1 - value, EVEN_ODDS, delta, EVEN_ODDS)
        return Aims((1 - value) / value, 1 - value, delta / 2, delta / 2, delta)

    def _missed_upper(self, delta: float) -> int:
        """Inputs behind the cut that belong and have not been read, at confidence 1 − delta."""
        audit = self.audit
        assert audit is not None
        drawn = audit.drawn & audit.tail
        seen = int((self.state.labels[drawn] != LEFT_OUT).sum())  # one without a label may have belonged
        return unread_upper(seen, audit.rate, delta)

    def _found_lower(self) -> int:
        weights = self.state.weights
        found = int(weights[self.state.found].sum())
        if self.accepted is not None:
            found += int(weights[self.accepted].sum()) - self.unit * self.wrong_upper
        return found

    def _visible(self) -> int:
        """Labels that the head may see."""
        known = self.state.known
        return len(known) if self.hidden is None else int((~self.hidden[known]).sum())

    def _train(self, features: Features) -> None:
        known = self.state.known
        if self.hidden is not None:
            known = known[~self.hidden[known]]
        before = self.head if self.head is not None and len(self.head.weights) == features.shape[1] else None
        self.head = fit_head(features[known], self.state.labels[known], before=before)
        if self.audit is None:  # from then on only the order matters
            self.calibration = calibration_of(features[known], self.state.labels[known], self.head)
        slope, offset = self.calibration
        self.probabilities = sigmoid(slope * self.head.scores(features) + offset)

    def _order(self, places: Places) -> Places:
        """Likeliest first; equal ones as they are."""
        assert self.probabilities is not None
        return places[np.argsort(-self.probabilities[places], kind="stable")]

    def _schedule(self, order: Places) -> Schedule:
        assert self.probabilities is not None
        aims = self._aims()
        self.delta_missed = aims.delta_alone
        trust = (self.belonged + 1.0) / (self.expected + 1.0)
        calibrated = self.probabilities[order] * min(trust, TRUST_MAX) + self.base
        return cheapest(np.minimum(calibrated, 1.0), float(self.state.found.sum()), aims)

    def _ask_helper(self, features: Features, uncertain: Places) -> Features:
        """What the cheaper judge says of uncertain rows, and of those already labelled, as one more feature."""
        state = self.state
        assert state.helper is not None
        asked = np.concatenate([state.known, uncertain])
        labels = np.full(len(state.labels), UNREAD, dtype=np.int8)
        labels[asked] = state.helper(asked)
        state.helper_labels = labels
        column = HELPER_SPREAD * np.where(labels == KEPT, 1.0, -1.0)  # it was not asked about the least likely ones
        return np.hstack([column[:, None], features])

    # ── the result ──

    def result(self, judge_error_rate: float | None) -> Selection:
        """What is kept, and what can be said about it."""
        state = self.state
        kept = state.found.copy()
        if self.accepted is not None:
            kept |= self.accepted
        sure = (
            np.ones(len(kept)) if self.probabilities is None else np.maximum(self.probabilities, 1 - self.probabilities)
        )
        confidence = np.where(state.labels >= 0, 1.0, sure)
        return Selection(kept, confidence, state.labels, self._certificate(kept, judge_error_rate))

    def _certificate(self, kept: npt.NDArray[np.bool_], judge_error_rate: float | None) -> Certificate:
        state, value = self.state, self.quality.value
        rows, judged = len(kept), state.judged
        accepted = 0 if self.accepted is None else int(self.accepted.sum())
        method = Method.ALL if judged == rows else Method.INTERRUPTED if self.interrupted else Method.CASCADE
        lower, upper = self._count(method, accepted)
        if method is Method.ALL:
            certified: float | None = 1.0
        elif method is Method.CASCADE:
            certified = value
        elif self.quality.target is Target.PRECISION:
            certified = 1.0 if not accepted else value
        else:
            certified = lower / upper if upper else None
        helped = state.helper_labels
        return Certificate(
            self.quality,
            method,
            met=certified is not None and certified >= value,
            certified=certified,
            estimate=1.0 if method is Method.ALL else self._estimate(accepted),
            rows=rows,
            judged=judged,
            audited=0 if self.audit is None else int((self.audit.drawn & (state.labels != UNREAD)).sum()),
            kept_unread=accepted,
            dropped_unread=rows - judged - accepted if method is not Method.INTERRUPTED else 0,
            failed=int((state.labels == FAILED).sum()),
            found=int(state.found.sum()),
            count_lower=lower,
            count_upper=upper,
            helper_judged=0 if helped is None else int((helped != UNREAD).sum()),
            helper_agreement=self._agreement(),
            judge_error_rate=judge_error_rate,
        )

    def _agreement(self) -> float | None:
        """How often the helper said what the judge did, of rows that both labelled."""
        helped, labels = self.state.helper_labels, self.state.labels
        if helped is None:
            return None
        both = (helped >= 0) & (labels >= 0)
        return float((helped[both] == labels[both]).mean()) if both.any() else None

    def _count(self, method: Method, accepted: int) -> tuple[int, int]:
        """How many inputs belong, at least and at most."""
        state = self.state
        found, failed, delta = int(state.found.sum()), int((state.labels == FAILED).sum()), self.quality.delta
        unread = int((state.labels == UNREAD).sum())
        lower = found + max(0, accepted - self.wrong_upper)
        most = found + failed + unread
        audit = self.audit
        if method is Method.ALL:
            return found, found + failed
        if audit is not None and method is Method.CASCADE and self.quality.target is Target.RECALL:
            return lower, min(most, failed + int((found + accepted) / self.quality.value + 1e-9))  # what is promised
        if audit is not None and audit.complete:
            return lower, min(most, found + failed + accepted + self._missed_upper(delta / 2))
        if audit is not None:
            read = audit.drawn & (state.labels != UNREAD)
            seen = int((state.labels[read] != LEFT_OUT).sum())
            missed = total_upper(len(audit.rows), int(read.sum()), seen, delta) - seen
            return lower, min(most, found + failed + missed)
        if len(self.even) >= EVEN_MIN:
            seen = int((state.labels[self.even] != LEFT_OUT).sum())
            return lower, max(lower, min(most, total_upper(len(state.labels), len(self.even), seen, delta)))
        return lower, most

    def _estimate(self, accepted: int) -> float | None:
        """The likeliest recall or precision: what the audit found, by its rate, stands for what it did not read."""
        state, audit = self.state, self.audit
        if audit is None or not audit.complete:
            return None
        odds = (1 - audit.rate) / audit.rate
        passed = audit.drawn & ~audit.tail
        wrong = 0.0
        if self.accepted is not None and accepted:
            last = self.accepted | passed
            wrong = odds * float((state.labels[passed & last] == LEFT_OUT).sum()) * accepted / max(1, int(last.sum()))
        found = float(state.found.sum()) + accepted - wrong
        if self.quality.target is Target.PRECISION:
            total = float(state.found.sum()) + accepted
            return found / total if total else None
        missed = odds * float((state.labels[audit.drawn & audit.tail] == KEPT).sum())
        return found / (found + missed) if found + missed else None
