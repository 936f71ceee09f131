"""Change sets, as `aws cloudformation deploy` uses them: executed as the stack operation they stand for.

moto looks a change set up by its name alone, whatever its stack, and a stack made by one has no outputs.
"""

from __future__ import annotations

from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import ChangeSet, CloudFormationBackend


class Backend(CloudFormationBackend):
    def execute_change_set(self, change_set_name: str, stack_name: str | None = None) -> None:
        change_set = self._find(change_set_name, stack_name)
        stack = self.stacks[change_set.stack_id]
        if change_set.change_set_type != "CREATE":
            stack.update(change_set.template, parameters=change_set.parameters)
        else:
            stack.template, stack.parameters = change_set.template, change_set.parameters
            stack._parse_template()
            stack.resource_map = stack._create_resource_map()
            stack.output_map = stack._create_output_map()
            stack._add_stack_event("CREATE_IN_PROGRESS", resource_status_reason="User Initiated")
            stack.create_resources()
            for export in stack.exports:
                self.exports[export.name] = export
        change_set.execution_status = "EXECUTE_COMPLETE"

    def _find(self, name: str, stack_name: str | None) -> ChangeSet:
        for identity, change_set in self.change_sets.items():
            stack = self.stacks.get(change_set.stack_id)
            if identity == name or (
                change_set.change_set_name == name
                and stack is not None
                and stack_name in (stack.name, stack.stack_id)
            ):
                return change_set
        raise ValidationError(message=f"ChangeSet [{name}] does not exist")
