"""What an update of a stack adds, changes and removes.

moto compares the templates' texts. AWS compares what they stand for: a resource whose condition has become
true is added, one whose condition has become false is removed, one with an `Fn::If` on it is changed. What is
to be retained stays when it leaves the template.
"""

from __future__ import annotations

import json
from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.parsing import ResourceMap

Diff = dict[str, list[str]]


def install() -> None:
    moto_diff, moto_update = ResourceMap.build_resource_diff, ResourceMap.update

    def build_resource_diff(
        self: ResourceMap, other_template: dict[str, Any], parameters: dict[str, Any] | None = None
    ) -> Diff:
        after = _loaded(self, other_template, parameters)
        return _diff(self, after, moto_diff(self, other_template, parameters))

    def update(self: ResourceMap, template: dict[str, Any], parameters: dict[str, Any] | None = None) -> None:
        gone = self.build_resource_diff(template, parameters)["Remove"]
        moto_update(self, template, parameters)
        for name in gone:
            self._parsed_resources.pop(name, None)  # so that it can come back

    parsing.ResourceMap.build_resource_diff = build_resource_diff
    parsing.ResourceMap.update = update


def _diff(before: ResourceMap, after: ResourceMap, text: Diff) -> Diff:
    """text: moto's own comparison."""
    old, new = _active(before), _active(after)
    flipped = [
        name
        for name in after.lazy_condition_map
        if before.lazy_condition_map.get(name) != after.lazy_condition_map[name]
    ]
    depends = [
        name
        for name in new & old
        if any(
            f'"Fn::If": ["{condition}"' in json.dumps(after._resource_json_map[name]) for condition in flipped
        )
    ]
    changed = dict.fromkeys([*text["Modify"], *depends])
    return {
        "Add": [name for name in after._resource_json_map if name in new - old],
        "Modify": [name for name in changed if name in new & old],
        "Remove": [
            name
            for name in before._resource_json_map
            if name in old - new and before._resource_json_map[name].get("DeletionPolicy") != "Retain"
        ],
    }


def _active(resources: ResourceMap) -> set[str]:
    return {
        name
        for name, resource in resources._resource_json_map.items()
        if resources.lazy_condition_map.get(resource.get("Condition"), True)
    }


def _loaded(
    resources: ResourceMap, template: dict[str, Any], parameters: dict[str, Any] | None
) -> ResourceMap:
    """The stack as it will be, so far as parameters and conditions tell."""
    after = ResourceMap(
        resources.stack_id,
        str(resources["AWS::StackName"]),
        parameters or resources.input_parameters,
        resources.tags,
        resources._region_name,
        resources._account_id,
        template,
        resources.cross_stack_resources,
    )
    after.load()
    return after
