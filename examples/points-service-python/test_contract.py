"""The contract's vectors hold here as they do in Rust. Run: python -m unittest discover"""

import json
import unittest
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import json_format

from contract import Contract, Key, digest, encode

VECTORS = json.loads(Path(__file__).resolve().parent.with_name("vectors.json").read_text())


class Vectors(unittest.TestCase):
    def setUp(self):
        self.contract = Contract()
        self.key = Key(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["key"]["seed"])))

    def test_a_key_has_this_jwk(self):
        self.assertEqual(self.key.jwk, VECTORS["key"]["jwk"])

    def test_an_assessment_has_this_digest_whenever_it_was_made(self):
        vector = VECTORS["assessment"]
        assessment = json_format.ParseDict(vector["message"], self.contract.Assessment())
        self.assertEqual(digest(assessment).hex(), vector["digest"])
        assessment.ClearField("assessed_at")
        self.assertEqual(encode(assessment).hex(), vector["encoded_without_assessed_at"])
        self.assertEqual(digest(assessment).hex(), vector["digest"])

    def test_an_acknowledgement_has_these_bytes_and_this_signature(self):
        vector = VECTORS["acknowledgement"]
        answer = json_format.ParseDict(vector["message"], self.contract.Acknowledgement())
        signed = self.key.sign(self.contract, answer)
        self.assertEqual(signed.acknowledgement.hex(), vector["encoded"])
        self.assertEqual(signed.signature.hex(), vector["signature"])
        self.assertEqual(encode(signed).hex(), vector["signed_acknowledgement"])


if __name__ == "__main__":
    unittest.main()
