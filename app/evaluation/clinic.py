"""A simulated clinic: clinicians who send cases and say what they were, beside a service and its learner.

Everything goes through the HTTP API of a service that is never restarted; every answer's status is counted.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.domain import Language
from app.evaluation.clinic_cases import ClinicCase, Visit
from app.evaluation.quality import Answered, CaseClient, request_body

NameOf = Callable[[str, Language], str]
"""A condition's name in a language."""

POLL_S = 0.5
"""Between two looks at the loop."""
_QUIET_S = 30.0
"""Rows that wait for so long without a run are left for good: the learner has seen them and found no reason for one."""
_TIMEOUT_S = 120.0
_STOP_S = 30.0
_LOG_TAIL = 2000


@dataclass(frozen=True, slots=True)
class Learner:
    """The learner's process and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """RuntimeError where it has ended."""
        if self.process.poll() is not None:
            tail = self.log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:]
            raise RuntimeError(f"the learner stopped with exit code {self.process.returncode}: {tail}")


@contextlib.contextmanager
def learner(env: Mapping[str, str], log: Path) -> Iterator[Learner]:
    """The learner with these settings; told to stop at the end."""
    with log.open("wb") as handle:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.learning.worker"],
            env={**os.environ, **env},
            stdout=handle,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Learner(process, log)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


@dataclass(slots=True)
class Clinician:
    """One API key. `statuses`: route and status -> how many."""

    http: httpx.Client
    name_of: NameOf
    statuses: Counter[str] = field(default_factory=Counter)

    def see(self, visits: Sequence[Visit]) -> None:
        """Have each case analysed, then say what it was."""
        for visit in visits:
            answer = self._post("analyze", request_body(visit.case.sample), httpx.codes.OK)
            if answer is not None:
                self._post("feedback", self._verdict(visit, answer), httpx.codes.CREATED)

    def ask(self, case: ClinicCase) -> str | None:
        """The version that answered; None where it failed."""
        answer = self._post("analyze", request_body(case.sample), httpx.codes.OK)
        return None if answer is None else version_of(answer)

    def _verdict(self, visit: Visit, answer: Mapping[str, Any]) -> dict[str, Any]:
        verdict: dict[str, Any] = {"analysis_id": answer["analysis_id"]}
        named = answer["differential"][0]["condition_id"] if answer["status"] == "ok" else None
        if named == visit.said:
            return {**verdict, "is_correct": True}
        name = self.name_of(visit.said, visit.case.sample.language)
        return {**verdict, "is_correct": False, "corrected_diagnosis": name}

    def _post(self, route: str, body: Mapping[str, Any], expected: int) -> dict[str, Any] | None:
        """The answer; None where its status is not the expected one."""
        try:
            response = self.http.post(f"/api/v1/{route}", json=body)
        except httpx.TransportError as error:
            self.statuses[f"{route} {type(error).__name__}"] += 1
            return None
        self.statuses[f"{route} {response.status_code}"] += 1
        if response.status_code != expected:
            return None
        answer: dict[str, Any] = response.json()
        return answer


@dataclass(frozen=True, slots=True)
class Settled:
    """How the loop came to rest. `swap_s`: from a new pointer to a service that answers with it, as often as it was
    seen, to `POLL_S`; `versions`: that answered meanwhile."""

    seconds: float
    swap_s: tuple[float, ...]
    versions: tuple[str, ...]


class Clinic:
    """Clinicians by API key, and an administrator who looks on."""

    def __init__(
        self,
        url: str,
        keys: Sequence[str],
        admin_key: str,
        name_of: NameOf,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`transport`: in place of the network."""
        self._url = url
        self._key = keys[0]
        self._admin, *clients = (
            httpx.Client(
                base_url=url, timeout=_TIMEOUT_S, headers={"Authorization": f"Bearer {key}"}, transport=transport
            )
            for key in (admin_key, *keys)
        )
        self.clinicians = [Clinician(client, name_of) for client in clients]

    def see(self, visits: Sequence[Visit]) -> None:
        """The clinicians share the visits, all at work at once."""
        with ThreadPoolExecutor(len(self.clinicians)) as pool:
            shares = [visits[number :: len(self.clinicians)] for number in range(len(self.clinicians))]
            list(pool.map(Clinician.see, self.clinicians, shares))

    def settle(self, cases: Sequence[ClinicCase], check: Callable[[], None], timeout_s: float) -> Settled:
        """Wait until nothing is left to learn, while cases go on being answered. RuntimeError where a run fails, the
        time is over or `check` raises."""
        started, number, versions, swaps = time.monotonic(), 0, dict[str, None](), list[float]()
        quiet_since, changed_at = started, None
        while True:
            check()
            state = self.learning()
            now = time.monotonic()
            if state["active_version"] != state["serving_version"]:
                changed_at = changed_at or now
            elif changed_at is not None:
                swaps.append(now - changed_at)
                changed_at = None
            if not is_quiet(state):
                quiet_since = now
            elif state["waiting"]["usable"] < state["threshold"] or now - quiet_since >= _QUIET_S:
                return Settled(now - started, tuple(swaps), tuple(versions))
            if now - started > timeout_s:
                raise RuntimeError(f"the loop did not come to rest: {state}")
            if version := self.clinicians[number % len(self.clinicians)].ask(cases[number % len(cases)]):
                versions[version] = None
            number += 1
            time.sleep(POLL_S)

    def measure(self, cases: Mapping[str, Sequence[ClinicCase]]) -> dict[str, list[Answered]]:
        """Answers by set, in order. RuntimeError where a case is not answered."""
        client = CaseClient(self._url, self._key)
        return {
            name: client.ask([case.sample for case in members], name, request_body) for name, members in cases.items()
        }

    def learning(self) -> dict[str, Any]:
        """GET /api/v1/learning."""
        return self._get("learning").json()  # type: ignore[no-any-return]

    def change_record(self, run_id: str, language: Language) -> str:
        """As Markdown."""
        headers = {"Accept": "text/markdown", "Accept-Language": language}
        return self._get(f"learning/runs/{run_id}/change-record", headers).text

    def statuses(self) -> dict[str, int]:
        """Of everything that the clinicians sent."""
        return dict(sorted(sum((clinician.statuses for clinician in self.clinicians), Counter[str]()).items()))

    def close(self) -> None:
        for client in (self._admin, *(clinician.http for clinician in self.clinicians)):
            client.close()

    def _get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        response = self._admin.get(f"/api/v1/{path}", headers=dict(headers or {}))
        if response.status_code != httpx.codes.OK:
            raise RuntimeError(f"{path}: status {response.status_code}")
        return response


def is_quiet(state: Mapping[str, Any]) -> bool:
    """Nothing learns, and the chosen version serves. RuntimeError where the last run failed."""
    last = state["last_runs"][0] if state["last_runs"] else None
    if last is not None and last["state"] == "failed":
        raise RuntimeError(f"run {last['run_id']} failed: {last['reason']}")
    return state["active_run"] is None and bool(state["active_version"] == state["serving_version"])


def version_of(answer: Mapping[str, Any]) -> str:
    """The fusion version that answered."""
    return str(answer["metadata"]["models"]["fusion"])
