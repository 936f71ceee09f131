"""The key that SNS signs its messages with. It lies in the data directory, so that a message can still be
checked after a restart."""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

PREFIX = "SimpleNotificationService-"


class Signer:
    """Made when it is first needed: a key takes a tenth of a second."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def sign(self, text: str) -> str:
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return base64.b64encode(signature).decode()

    @functools.cached_property
    def certificate_name(self) -> str:
        der = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return f"{PREFIX}{hashlib.sha256(der).hexdigest()[:32]}.pem"

    def certificate(self) -> bytes:
        """PEM, self-signed, as SigningCertURL gives it."""
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=365))
            .sign(self._key, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM)

    @functools.cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        if self._path.exists():
            found = serialization.load_pem_private_key(self._path.read_bytes(), password=None)
            assert isinstance(found, rsa.RSAPrivateKey)
            return found
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".new")
        temporary.touch(mode=0o600)
        temporary.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        temporary.replace(self._path)
        return key
