#!/usr/bin/env python3
"""Loyalty points: a participant on a Kafka client, protobuf and Ed25519, with its state in SQLite.

What an instruction does, its signed answer and the consumer's next offset commit in one transaction;
answers are published from the database, and what a crash left unpublished is published at the start.
docs/participants.md has the rules by number, and the comments here name them.
"""

import argparse
import json
import signal
import sqlite3
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic

from contract import ACKNOWLEDGEMENTS, PUBLISHED, Contract, Key, digest, encode, now, put_instant, rfc3339

NAME = "points"
LOOK_AT_TOPIC_EVERY = 5.0  # seconds
INSTRUCTIONS = f"exeunt.instructions.{NAME}"
TABLES = """
create table if not exists accounts (subject text primary key, points integer not null, closed_by text);
create table if not exists lapsed (subject text, cancellation text, points integer);
create table if not exists cases (cancellation text primary key, subject text, epoch integer,
    kind integer, revision integer, phase text, instruction blob, digest blob, signed blob);
create table if not exists outbox (id integer primary key autoincrement, ce_id text, cancellation text,
    at integer, payload blob);
create table if not exists offsets (incarnation text, partition integer, next integer,
    primary key (incarnation, partition));
create table if not exists parked (partition integer, position integer, key blob, payload blob, cause text);
"""


class Poison(Exception):
    """Bytes that would fail again: they park, and what comes behind them with the same key."""


class Points:
    """What the service knows, and what it answers. Every method runs inside one transaction."""

    def __init__(self, database, contract, key):
        self.db = sqlite3.connect(database, isolation_level=None, timeout=10)
        self.db.row_factory = sqlite3.Row
        self.db.executescript("pragma journal_mode=wal; pragma synchronous=full;" + TABLES)
        self.contract, self.key = contract, key

    @contextmanager
    def transaction(self):
        self.db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self.db.execute("rollback")
            raise
        self.db.execute("commit")

    def row(self, query, *values):
        return self.db.execute(query, values).fetchone()

    def account(self, subject):
        return self.row("select * from accounts where subject = ?", subject) or {"points": 0, "closed_by": None}

    def award(self, subject, points):
        if self.account(subject)["closed_by"]:
            raise SystemExit("the subject's account is closed")
        self.db.execute("insert into accounts (subject, points) values (?, ?) on conflict (subject) "
                        "do update set points = points + excluded.points", (subject, points))
        self.reconsider(subject)

    # Instructions in.

    def read(self, payload):
        try:
            told = self.contract.Instruction.FromString(payload)
        except Exception as error:
            raise Poison(f"UNDECODABLE: {error}") from error
        if told.participant != NAME:
            raise Poison("WRONG_PARTICIPANT")
        if told.kind not in self.contract.kind.values() or told.kind == 0:
            raise Poison("UNKNOWN_KIND")
        if not (told.cancellation_id and told.subject_id and told.scope.WhichOneof("kind")):
            raise Poison("UNDECODABLE: lacks a field")
        return told

    def instruct(self, told):
        """Rules 1 and 2: what is answered already is answered again, what is too late is superseded."""
        case = self.row("select * from cases where cancellation = ?", told.cancellation_id)
        if case and (told.epoch < case["epoch"] or told.epoch == case["epoch"] and told.kind != case["kind"]):
            superseded = self.acknowledgement(told, "SUPERSEDED")
            self.send(told.cancellation_id, encode(self.key.sign(self.contract, superseded)))
        elif case and told.epoch == case["epoch"]:
            self.send(told.cancellation_id, case["signed"])
        elif case and case["phase"] == "finished":
            self.finished(told, case)
        else:
            self.obey(told, case)

    def finished(self, told, case):
        """After the end only the words change: what happened is told again, in the epoch of who asks."""
        kind = self.contract.kind
        if told.kind == kind["UNDO"]:
            self.undo(told, case)
        elif told.kind == kind["EXECUTE"]:
            signed = self.contract.SignedAcknowledgement.FromString(case["signed"])
            answer = self.contract.Acknowledgement.FromString(signed.acknowledgement)
            answer.epoch, answer.revision = told.epoch, 1
            put_instant(answer.acknowledged_at, now())
            self.answer(told, answer, "finished")
        else:
            self.send(told.cancellation_id, case["signed"])
            if told.kind == kind["ASSESS"]:
                found = encode(self.key.sign(self.contract, self.assessed(told)))
                self.send(told.cancellation_id, found)

    def obey(self, told, case):
        kind = self.contract.kind
        if told.kind == kind["ASSESS"]:
            self.answer(told, self.assessed(told), "assessed")
        elif told.kind == kind["FREEZE"]:
            # Points are not redeemed here, so there is nothing to suspend.
            self.answer(told, self.acknowledgement(told, "NOTHING_TO_DO"), "frozen")
        elif told.kind == kind["UNDO"]:
            self.undo(told, case)
        else:
            self.execute(told)

    def execute(self, told):
        """Rule 4: exactly what was accepted, or nothing."""
        if told.assessment_digest and digest(self.assess(told)) != told.assessment_digest:
            return self.answer(told, self.acknowledgement(told, "CHANGED"), "stopped")
        points = self.worth(told)
        if points:
            self.db.execute("insert into lapsed values (?, ?, ?)", (told.subject_id, told.cancellation_id, points))
            self.db.execute("update accounts set points = 0 where subject = ?", (told.subject_id,))
        if told.scope.HasField("whole_account"):
            self.db.execute("insert into accounts values (?, 0, ?) on conflict (subject) do update "
                            "set closed_by = coalesce(closed_by, excluded.closed_by)",
                            (told.subject_id, told.cancellation_id))
        answer = self.acknowledgement(told, "DONE" if points else "NOTHING_TO_DO")
        answer.assessment_digest = told.assessment_digest
        self.answer(told, answer, "finished")
        self.reconsider(told.subject_id)

    def undo(self, told, case):
        """What was never seen leaves its epoch behind, and that stops what comes late."""
        closed_by = self.account(told.subject_id)["closed_by"]
        ours = told.subject_id, told.cancellation_id
        back = self.row("select sum(points) from lapsed where subject = ? and cancellation = ?", *ours)[0]
        if case and closed_by == told.cancellation_id:
            answer = self.acknowledgement(told, "FAILED")
            answer.failure.code, answer.failure.owner = "ACCOUNT_CLOSED", NAME
            answer.failure.cause = "The account is closed, and stays so."
        elif back and not closed_by:
            self.db.execute("delete from lapsed where subject = ? and cancellation = ?", ours)
            self.db.execute("update accounts set points = points + ? where subject = ?", (back, told.subject_id))
            answer = self.acknowledgement(told, "DONE")
        else:
            answer = self.acknowledgement(told, "NOTHING_TO_DO")
        self.answer(told, answer, "undone")
        self.reconsider(told.subject_id)

    # Answers out.

    def worth(self, told):
        """How many points end with this scope: the account's, or the scope's of our own name."""
        concerned = told.scope.HasField("whole_account") or told.scope.named == NAME
        return self.account(told.subject_id)["points"] if concerned else 0

    def assess(self, told):
        assessment, points = self.contract.Assessment(), self.worth(told)
        if points:
            assessment.items.add(participant=NAME, kind=self.contract.item["LAPSES"], code="POINTS_LAPSE",
                                 item_id=NAME, title=f"{points} points", quantity=points,
                                 text="The points lapse. Redeem them before.")
        return assessment

    def acknowledgement(self, told, outcome, revision=1):
        answer = self.contract.Acknowledgement(
            cancellation_id=told.cancellation_id, participant=NAME, kind=told.kind, epoch=told.epoch,
            revision=revision, outcome=self.contract.outcome[outcome], subject_id=told.subject_id)
        put_instant(answer.acknowledged_at, now())
        return answer

    def assessed(self, told, revision=1):
        answer = self.acknowledgement(told, "ASSESSED", revision)
        answer.assessment.CopyFrom(self.assess(told))
        put_instant(answer.assessment.assessed_at, now())
        answer.assessment_digest = digest(answer.assessment)
        return answer

    def reconsider(self, subject):
        """Rule 5: an open assessment that is no longer true is replaced by a higher revision."""
        open_cases = "select * from cases where subject = ? and phase = 'assessed'"
        for case in self.db.execute(open_cases, (subject,)).fetchall():
            told = self.contract.Instruction.FromString(case["instruction"])
            if digest(self.assess(told)) != case["digest"]:
                self.answer(told, self.assessed(told, case["revision"] + 1), "assessed")

    def answer(self, told, answer, phase):
        """Rule 7: signed before it is stored, and stored as it is sent."""
        signed = encode(self.key.sign(self.contract, answer))
        self.db.execute("insert or replace into cases values (?, ?, ?, ?, ?, ?, ?, ?, ?)", (
            told.cancellation_id, told.subject_id, answer.epoch, answer.kind, answer.revision, phase,
            encode(told), answer.assessment_digest, signed))
        self.send(told.cancellation_id, signed)

    def send(self, cancellation, signed):
        self.db.execute("insert into outbox (ce_id, cancellation, at, payload) values (?, ?, ?, ?)",
                        (f"{uuid.uuid4()}/coordinator", cancellation, now(), signed))


class Kafka:
    """Both topics. The offset in the database is the one that counts."""

    def __init__(self, url, points):
        place, _, settings = url.removeprefix("kafka://").partition("?")
        brokers, _, prefix = place.partition("/")
        self.points, self.prefix = points, f"{prefix}." if prefix else ""
        common = {"bootstrap.servers": brokers}
        common |= dict(setting.split("=", 1) for setting in settings.split("&") if setting)
        self.admin = AdminClient(common)
        self.producer = Producer(common | {
            "enable.idempotence": True, "partitioner": "murmur2_random", "message.timeout.ms": 30_000})
        self.consumer = Consumer(common | {
            "group.id": f"{self.prefix}exeunt.{NAME}", "group.instance.id": f"{NAME}-0",
            "enable.auto.commit": False, "auto.offset.reset": "error"})
        topics = [self.prefix + INSTRUCTIONS, self.prefix + ACKNOWLEDGEMENTS]
        for made in self.admin.create_topics([NewTopic(topic, 8) for topic in topics]).values():
            try:
                made.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
        self.instructions, self.acknowledgements = topics
        self.incarnation, self.looked = None, time.monotonic()
        self.consumer.subscribe(topics[:1], on_assign=self.assigned)

    def assigned(self, consumer, partitions):
        """A topic that was made again has another id, and is read from its beginning."""
        self.incarnation = self.topic_id()
        for partition in partitions:
            partition.offset = self.next(partition.partition)
        consumer.assign(partitions)

    def topic_id(self):
        described = self.admin.describe_topics(TopicCollection([self.instructions]))
        return str(described[self.instructions].result().topic_id)

    def look_at_topic(self):
        """A consumer that runs does not notice that its topic was made again: a new one will."""
        if self.incarnation is None or time.monotonic() < self.looked + LOOK_AT_TOPIC_EVERY:
            return
        self.looked = time.monotonic()
        try:
            same = self.topic_id() == self.incarnation
        except KafkaException:
            return
        if not same:
            raise SystemExit("the topic was made again: start anew to read it from its beginning")

    def next(self, partition):
        query = "select next from offsets where incarnation = ? and partition = ?"
        row = self.points.row(query, self.incarnation, partition)
        return row["next"] if row else OFFSET_BEGINNING

    def turn(self):
        """What has come, in one transaction (rule 3), and then what there is to say."""
        self.look_at_topic()
        records = [record for record in self.consumer.consume(500, 0.1) if self.is_record(record)]
        if records:
            with self.points.transaction():
                for record in records:
                    self.take(record)
        self.publish()

    def is_record(self, record):
        error = record.error()
        if error is None:
            return True
        if error.fatal() or error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise SystemExit(f"the topic cannot be read on: {error}")
        print(f"waiting for Kafka: {error}", file=sys.stderr)
        return False

    def take(self, record):
        points, partition, offset = self.points, record.partition(), record.offset()
        if offset < self.next(partition):
            return
        try:
            if points.row("select 1 from parked where key = ?", record.key()):
                raise Poison("behind")
            points.instruct(points.read(record.value() or b""))
        except Poison as poison:
            parked = partition, offset, record.key(), record.value(), str(poison)
            points.db.execute("insert into parked values (?, ?, ?, ?, ?)", parked)
        points.db.execute("insert or replace into offsets values (?, ?, ?)", (self.incarnation, partition, offset + 1))

    def publish(self):
        """In order; what is not delivered stays and is sent again, also after a restart."""
        delivered = []
        for row in self.points.db.execute("select * from outbox order by id limit 500").fetchall():
            headers = {
                "ce_specversion": "1.0", "ce_id": row["ce_id"], "ce_source": NAME,
                "ce_type": "exeunt.participant.v1.SignedAcknowledgement", "ce_subject": row["cancellation"],
                "ce_time": rfc3339(row["at"]), "ce_sequence": str(row["id"]),
                "content-type": "application/protobuf"}
            self.producer.produce(
                self.acknowledgements, row["payload"], row["cancellation"], headers=headers,
                on_delivery=lambda error, _, sent=row["id"]: delivered.append(sent) if error is None else None)
        self.producer.flush()
        if delivered:
            with self.points.transaction():
                self.points.db.executemany("delete from outbox where id = ?", [(sent,) for sent in delivered])


def serve(points, event_log):
    stop = []
    for wish in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wish, lambda *_: stop.append(True))
    kafka = Kafka(event_log, points)
    print("points-service: serving", flush=True)
    while not stop:
        kafka.turn()
    kafka.consumer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default="./points-data", help="where the key and the state stand")
    parser.add_argument("--descriptors", default=PUBLISHED, help="the contract's FileDescriptorSet")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve").add_argument("--event-log", required=True, help="kafka://host:port[/prefix]")
    commands.add_parser("print-jwk", help="the public key that the roster must name")
    award, show = commands.add_parser("award"), commands.add_parser("show")
    award.add_argument("--points", type=int, required=True)
    for command in (award, show):
        command.add_argument("--subject", required=True)
    told = parser.parse_args()
    Path(told.data_dir).mkdir(parents=True, exist_ok=True)
    key = Key.load_or_create(Path(told.data_dir, f"{NAME}.key"))
    points = Points(Path(told.data_dir, f"{NAME}.db"), Contract(told.descriptors), key)
    if told.command == "serve":
        serve(points, told.event_log)
    elif told.command == "print-jwk":
        print(json.dumps(key.jwk, separators=(",", ":")))
    elif told.command == "award":
        with points.transaction():
            points.award(told.subject, told.points)
    else:
        account = points.account(told.subject)
        print(json.dumps({"points": account["points"], "closedBy": account["closed_by"]}))


if __name__ == "__main__":
    main()
