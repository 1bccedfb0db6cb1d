"""What import-linter has no contract for."""

from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class OwnImporter(Contract):
    """Each module of one name is imported by the module of another name in its own package, and by few `others`."""

    module = fields.StringField()
    importer = fields.StringField()
    others = fields.SetField(subfield=fields.StringField(), required=False, default=set())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: FBT001 - as import-linter calls it
        del verbose
        wrong, allowed = [], cast("set[str]", self.others)
        for imported in sorted(graph.modules):
            package, _, name = imported.rpartition(".")
            if name == cast("str", self.module):
                importers = graph.find_modules_that_directly_import(imported)
                wrong += [(one, imported) for one in importers - {f"{package}.{self.importer}", *allowed}]
        return ContractCheck(kept=not wrong, metadata={"wrong": wrong})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["wrong"]:
            output.print_error(f"{importer} imports {imported}")
