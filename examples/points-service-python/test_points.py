"""What is committed is answered, also after a crash; what is not has never happened."""

import tempfile
import unittest
from pathlib import Path

from contract import Contract, Key
from points_service import Points


class Commits(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.contract = Contract()
        self.points = self.open()

    def open(self):
        key = Key.load_or_create(Path(self.folder.name, "key"))
        points = Points(Path(self.folder.name, "points.db"), self.contract, key)
        self.addCleanup(points.db.close)
        return points

    def told(self, kind, epoch):
        told = self.contract.Instruction(cancellation_id="can_1", participant="points", epoch=epoch,
                                         kind=self.contract.kind[kind], subject_id="sbj_1")
        told.scope.whole_account.SetInParent()
        return told

    def unsent(self, points):
        return [row["payload"] for row in points.db.execute("select payload from outbox order by id")]

    def test_a_crash_before_the_commit_leaves_nothing_and_one_after_it_leaves_the_answer(self):
        with self.points.transaction():
            self.points.award("sbj_1", 100)
        with self.assertRaises(KeyboardInterrupt), self.points.transaction():
            self.points.instruct(self.told("EXECUTE", 1))
            raise KeyboardInterrupt
        self.assertEqual(self.points.account("sbj_1")["points"], 100)
        self.assertEqual(self.unsent(self.points), [])
        with self.points.transaction():
            self.points.instruct(self.told("EXECUTE", 1))
        restarted = self.open()
        self.assertEqual(restarted.account("sbj_1")["closed_by"], "can_1")
        unsent = self.unsent(restarted)
        self.assertEqual(len(unsent), 1)
        with restarted.transaction():
            restarted.instruct(self.told("EXECUTE", 1))
        self.assertEqual(self.unsent(restarted), unsent * 2)

    def test_what_lapsed_with_the_account_does_not_come_back_and_nobody_awards_more(self):
        with self.points.transaction():
            self.points.award("sbj_1", 100)
            self.points.instruct(self.told("EXECUTE", 1))
            self.points.instruct(self.told("UNDO", 2))
        signed = self.contract.SignedAcknowledgement.FromString(self.unsent(self.points)[-1])
        answer = self.contract.Acknowledgement.FromString(signed.acknowledgement)
        self.assertEqual(answer.outcome, self.contract.outcome["FAILED"])
        self.assertEqual(answer.failure.code, "ACCOUNT_CLOSED")
        with self.assertRaises(SystemExit):
            self.points.award("sbj_1", 1)


if __name__ == "__main__":
    unittest.main()
