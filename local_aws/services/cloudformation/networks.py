"""Networks of stacks: stored by moto, which leaves most of their parts behind when the stack is deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.elastic_ip_addresses import ElasticAddress
from moto.ec2.models.internet_gateways import InternetGateway
from moto.ec2.models.nat_gateways import NatGateway
from moto.ec2.models.route_tables import Route, RouteTable
from moto.ec2.models.security_groups import SecurityGroup
from moto.ec2.models.subnets import SubnetRouteTableAssociation
from moto.ec2.models.vpcs import VPCEndPoint
from moto.ec2.models.vpn_gateway import VPCGatewayAttachment

Remove = Callable[[EC2Backend, Any], Any]


def _disassociate(ec2: EC2Backend, link: SubnetRouteTableAssociation) -> None:
    for table in ec2.route_tables.values():
        for association, subnet in list(table._associations.items()):
            if (table.id, subnet) == (link.route_table_id, link.subnet_id):
                ec2.disassociate_route_table(association)


def _remove_endpoint(ec2: EC2Backend, endpoint: VPCEndPoint) -> None:
    ec2.vpc_end_points.pop(endpoint.id, None)  # moto's own way keeps it as "deleted" for ever


def _remove_nat(ec2: EC2Backend, nat: NatGateway) -> None:
    ec2.nat_gateways.pop(nat.id, None)
    ec2.delete_network_interface(nat._eni.id)


REMOVE: dict[type, Remove] = {
    ElasticAddress: lambda ec2, address: ec2.release_address(address=address.public_ip),
    InternetGateway: lambda ec2, gateway: ec2.delete_internet_gateway(gateway.id),
    NatGateway: _remove_nat,
    Route: lambda _, route: route.route_table._routes.pop(route.id, None),  # its table may have gone before
    SecurityGroup: lambda ec2, group: ec2.delete_security_group(group_id=group.id),
    RouteTable: lambda ec2, table: ec2.delete_route_table(table.id),
    SubnetRouteTableAssociation: _disassociate,
    VPCEndPoint: _remove_endpoint,
    VPCGatewayAttachment: lambda ec2, link: ec2.detach_internet_gateway(link.gateway_id, link.vpc_id),
}


def install() -> None:
    for kind, remove in REMOVE.items():
        kind.delete = _method(remove)  # type: ignore[attr-defined]


def _method(remove: Remove) -> Callable[[Any, str, str], None]:
    def delete(self: Any, account_id: str, region_name: str) -> None:
        remove(ec2_backends[account_id][region_name], self)

    return delete
