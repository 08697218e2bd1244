"""A vault without a key file: its secrets follow from a seed, so that a test can be told again."""

import hashlib

from jackpotd.core.fairness import secret_from

_MASTER = hashlib.sha256(b"the master key of tests").digest()


class SeededVault:
    """The seed decides the nonces. All of these vaults have one master key, so each finds the secrets of the others."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def fresh(self, instance_id: str, pot_id: str, number: int) -> tuple[str, bytes]:
        text = f"nonce {self._seed} {instance_id} {pot_id} {number}"
        nonce = hashlib.sha256(text.encode()).hexdigest()
        return nonce, self.secret(instance_id, pot_id, number, nonce)

    def secret(self, instance_id: str, pot_id: str, number: int, nonce: str) -> bytes:
        return secret_from(_MASTER, instance_id, pot_id, number, nonce)
