"""Which addresses are the public internet's: everything else is somebody's inside, perhaps ours.

An IPv6 address that carries an IPv4 address reaches what that one reaches, so it is judged by it.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

# What `ipaddress` counts as global, depending on its version, and no webhook is to be found at.
_NOT_PUBLIC_4 = tuple(
    map(
        IPv4Network,
        ("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "240.0.0.0/4"),
    )
)
_NOT_PUBLIC_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20", "2002::/16")))
_UNICAST_6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")

Address = IPv4Address | IPv6Address


def is_public(address: Address) -> bool:
    """Whether an address is globally reachable unicast; through a translator, whether what it stands for is."""
    inner = _translated(address) if isinstance(address, IPv6Address) else address
    if isinstance(inner, IPv4Address):
        return (
            inner.is_global
            and not inner.is_multicast
            and not any(inner in network for network in _NOT_PUBLIC_4)
        )
    return (
        inner in _UNICAST_6
        and inner.is_global
        and not any(inner in network for network in _NOT_PUBLIC_6)
    )


def _translated(address: IPv6Address) -> Address:
    """What is reached: the IPv4 address inside of a mapped, 6to4 or NAT64 address, else the address itself.

    Teredo's and the compatible ones' are not looked into: none of those is public.
    """
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
    return address
