"""The participant's contract: messages from the published descriptors, digests, signatures, names."""

import base64
import hashlib
import json
import os
import time
from datetime import datetime, timezone
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PUBLISHED = Path(__file__).resolve().parents[2] / "proto" / "released.binpb"
ACKNOWLEDGEMENTS = "exeunt.acknowledgements"


class Contract:
    """The messages of `exeunt.participant.v1`, loaded at run time."""

    def __init__(self, descriptors=PUBLISHED):
        files = descriptor_pb2.FileDescriptorSet.FromString(Path(descriptors).read_bytes())
        by_name, pool = {file.name: file for file in files.file}, descriptor_pool.DescriptorPool()

        def add(name):
            file = by_name.pop(name, None)
            if file is not None:
                for needed in file.dependency:
                    add(needed)
                pool.AddSerializedFile(file.SerializeToString())

        for name in list(by_name):
            add(name)
        for name in ("Instruction", "Acknowledgement", "SignedAcknowledgement", "Assessment"):
            descriptor = pool.FindMessageTypeByName(f"exeunt.participant.v1.{name}")
            setattr(self, name, message_factory.GetMessageClass(descriptor))

        def numbers(enum):
            values = pool.FindEnumTypeByName(f"exeunt.participant.v1.{enum}").values
            return {value.name.split("_", enum_words[enum])[-1]: value.number for value in values}

        enum_words = {"InstructionKind": 2, "Outcome": 1, "QuoteItemKind": 3}
        self.kind, self.outcome, self.item = (numbers(enum) for enum in enum_words)


def encode(message):
    """Fields in the order of their numbers, which is what digests are taken of."""
    return message.SerializeToString(deterministic=True)


def digest(assessment):
    """SHA-256 of an assessment without the moment at which it was made."""
    timeless = type(assessment)()
    timeless.CopyFrom(assessment)
    timeless.ClearField("assessed_at")
    return hashlib.sha256(encode(timeless)).digest()


def now():
    """The instant now, in microseconds: what every instant of the contract has."""
    return time.time_ns() // 1000


def put_instant(field, micros):
    field.seconds, field.nanos = micros // 1_000_000, micros % 1_000_000 * 1000


def rfc3339(micros):
    return datetime.fromtimestamp(micros / 1e6, timezone.utc).isoformat().replace("+00:00", "Z")


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """An Ed25519 key: made at first use, kept in a file that only its owner reads."""

    def __init__(self, private):
        self.private = private
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        x = base64url(private.public_key().public_bytes(*raw))
        thumbprint = json.dumps({"crv": "Ed25519", "kty": "OKP", "x": x}, separators=(",", ":"))
        self.kid = base64url(hashlib.sha256(thumbprint.encode()).digest())
        self.jwk = {"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": x, "use": "sig", "alg": "EdDSA"}

    @classmethod
    def load_or_create(cls, path):
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(Ed25519PrivateKey.generate().private_bytes(*form))
        except FileExistsError:
            pass
        return cls(serialization.load_pem_private_key(Path(path).read_bytes(), None))

    def sign(self, contract, acknowledgement):
        """Encodes once, signs those bytes; from here on nobody encodes them again."""
        encoded = encode(acknowledgement)
        signature = self.private.sign(encoded)
        return contract.SignedAcknowledgement(acknowledgement=encoded, signature=signature, kid=self.kid)
