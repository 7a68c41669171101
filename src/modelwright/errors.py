"""Every error a user can meet: one tree, each class with its code, HTTP status, text and next command.

A class states its text once, as a template over named facts; raising it supplies the facts:

    raise NotebookMissing(path=path)

`str(error)` names the thing in quotes and the rule that was broken; `error.next_command` says what to type now.
"""

import errno
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar


class ModelwrightError(Exception):
    """Root of all errors that are reported to the user without a traceback."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 400
    problem: ClassVar[str] = ""
    remedy: ClassVar[str] = ""

    def __init__(self, **facts: object) -> None:
        """Build the text from `facts`; a fact that the template names and the caller omits is a KeyError."""
        self.facts = facts
        self.next_command = self.remedy.format(**facts)
        super().__init__(self.problem.format(**facts))

    def details(self) -> dict[str, object]:
        """Return what programs are told besides the code and the text, made of records."""
        return {}


# --- workspace -------------------------------------------------------------------------------------------------------


class WorkspaceMissing(ModelwrightError):
    """No workspace here or in any folder above."""

    code = "workspace-missing"
    status = 404
    problem = 'no workspace in "{folder}" or any folder above it'
    remedy = "wright ship TRAINING.ipynb makes one here; or name one: wright --workspace FOLDER …"


class WorkspaceTooNew(ModelwrightError):
    """The workspace was written by a later release."""

    code = "workspace-too-new"
    status = 409
    problem = (
        'workspace "{folder}" was written by a newer modelwright: its schema is "{found}", this release knows "{known}"'
    )
    remedy = "pip install --upgrade modelwright"


class WorkspaceDamaged(ModelwrightError):
    """The workspace's database cannot be read."""

    code = "workspace-damaged"
    status = 500
    problem = 'the database of workspace "{folder}" cannot be read: {reason}'
    remedy = "wright doctor"


class DiskFull(ModelwrightError):
    """There is no space left where something is to be written."""

    code = "disk-full"
    status = 507
    problem = "no space is left on the disk{place}"
    remedy = "df -h, and once there is some: the same command"

    @classmethod
    def found_in(cls, error: OSError) -> "DiskFull | None":
        """Return this error where that is what the system says."""
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return None
        return cls(place=f' of "{error.filename}"' if error.filename else "")


class FolderNotWritable(ModelwrightError):
    """A folder that must be written to is read-only."""

    code = "folder-not-writable"
    status = 403
    problem = '"{folder}" cannot be written to: {reason}'
    remedy = "chmod u+w {folder}, or choose another with {option}"


class BlobDamaged(ModelwrightError):
    """A stored file's bytes no longer match its name."""

    code = "blob-damaged"
    status = 500
    problem = 'stored file "{digest}" has changed on disk: its content is now "{found}"'
    remedy = "wright doctor"


class SettingInvalid(ModelwrightError):
    """An environment variable has a value that means nothing."""

    code = "setting-invalid"
    problem = 'the variable {name} is "{value}"; it must be {rule}'
    remedy = "unset {name}, or set it to {rule}"


class Busy(ModelwrightError):
    """Another process holds what this one needs."""

    code = "busy"
    status = 409
    problem = "{thing} is in use by another process ({holder})"
    remedy = "wait for it to finish, then: {command}"


class ReasonMissing(ModelwrightError):
    """A change that the workspace wants a reason for has none."""

    code = "reason-missing"
    status = 422
    problem = 'this workspace wants a reason for every {rule}: "{action}" of "{subject}" has none, nothing was changed'
    remedy = 'the same command with --why "TEXT"'


class RuleUnknown(ModelwrightError):
    """A setting of the workspace that there is not."""

    code = "rule-unknown"
    status = 404
    problem = 'the workspace has no setting "{name}"; it has {known}'
    remedy = "wright settings list"


class RuleInvalid(ModelwrightError):
    """A setting of the workspace was to have a value that means nothing."""

    code = "rule-invalid"
    problem = 'setting "{name}" cannot be "{value}": it takes {rule}'
    remedy = "wright settings set {name} {example}"


class AuditDamaged(ModelwrightError):
    """The audit records are no longer those that were written."""

    code = "audit-damaged"
    status = 409
    problem = "the audit records were changed: {fault}"
    remedy = "wright audit verify"


class HistoryMissing(ModelwrightError):
    """The records do not go back to the time that is asked for."""

    code = "history-missing"
    status = 404
    problem = 'how things stood at "{moment}" is not on record: what changes replaced is kept since "{earliest}"'
    remedy = "wright audit list"


class InUse(ModelwrightError):
    """A thing that others use may not be deleted; all of them are told, each with the command that frees it."""

    code = "in-use"
    status = 409
    problem = "{thing} is in use and was not deleted: by\n{told}"
    remedy = "free it with the commands above, then: {command}"

    def __init__(self, *, users: Iterable[object] = (), **facts: object) -> None:
        """Take the records of the users besides the facts of the text."""
        self.users = list(users)
        super().__init__(**{"told": "\n".join(f"  {each}" for each in self.users)} | facts)

    def details(self) -> dict[str, object]:
        """Return the users."""
        return {"users": self.users}


class VersionNotNamed(ModelwrightError):
    """What is to be deleted is not named by its number, so that it could be another one by now."""

    code = "version-not-named"
    problem = '"{reference}" names no version; to delete one, name its number: NAME:VERSION'
    remedy = "wright {noun} list"


class DeletedMeanwhile(ModelwrightError):
    """Something that a change refers to was deleted while the change was under way."""

    code = "deleted-meanwhile"
    status = 409
    problem = "something that this refers to was deleted by somebody else meanwhile; nothing was written"
    remedy = "do it again with what is there: wright model list, wright run list, wright dataset list"


# --- processes -------------------------------------------------------------------------------------------------------


class CommandMissing(ModelwrightError):
    """A program that we call is not installed."""

    code = "command-missing"
    status = 424
    problem = '"{command}" is not on this machine: {purpose}'
    remedy = "{install}"


class CommandTimedOut(ModelwrightError):
    """A child process ran longer than it may; it and its children were ended."""

    code = "command-timed-out"
    status = 504
    problem = '"{command}" was ended after {timeout_seconds:g} s'
    remedy = "{next}"


# --- projects --------------------------------------------------------------------------------------------------------


class ProjectMissing(ModelwrightError):
    """A folder has no project manifest."""

    code = "project-missing"
    status = 404
    problem = '"{folder}" is no project: it has no {manifest}'
    remedy = "wright convert TRAINING.ipynb --into {folder}"


class ProjectInvalid(ModelwrightError):
    """A project's file cannot be understood."""

    code = "project-invalid"
    problem = '"{path}": {reason}'
    remedy = "mend the file, or convert the notebook again: wright convert TRAINING.ipynb"


class SnapshotTooLarge(ModelwrightError):
    """A folder is too large to be kept as the code that ran."""

    code = "snapshot-too-large"
    status = 413
    problem = 'the code in "{folder}" is more than {limit}; nothing of it was kept. Found first: {largest}'
    remedy = "name in {folder}/.wrightignore what is no code, or lift the limit: WRIGHT_SNAPSHOT_NO_LIMIT=1"


class ProjectWithoutNotebook(ModelwrightError):
    """There is no notebook that the project could be compared with."""

    code = "project-without-notebook"
    status = 409
    problem = 'project "{project}" was made from no notebook, so there is nothing to compare it with'
    remedy = "wright test {folder}"


class FolderNotEmpty(ModelwrightError):
    """A new project would lie among other files."""

    code = "folder-not-empty"
    status = 409
    problem = '"{folder}" holds {files}; a new project is only written to a new or empty folder'
    remedy = "choose another folder with --into"


class ProjectEdited(ModelwrightError):
    """A folder holds work that a conversion would overwrite."""

    code = "project-edited"
    status = 409
    problem = '"{folder}" holds {files}, edited since conversion; converting again would overwrite it'
    remedy = "choose another folder with --into, or discard the edits with --overwrite"


class EditsCollide(ModelwrightError):
    """The user and a new conversion changed the same lines of a project."""

    code = "edits-collide"
    status = 409
    problem = '"{folder}" holds {files}, where your edits and the new conversion change the same lines; nothing written'
    remedy = "choose another folder with --into and compare, or discard the edits with --overwrite"


class NameInvalid(ModelwrightError):
    """A name breaks its rule."""

    code = "name-invalid"
    problem = '"{name}" is no valid {noun} name: {rule}'
    remedy = "choose another {way}"


# --- runs ------------------------------------------------------------------------------------------------------------


class RunMissing(ModelwrightError):
    """No run of that id."""

    code = "run-missing"
    status = 404
    problem = 'no run "{run}" in this workspace'
    remedy = "wright run list"


class RunDeleted(ModelwrightError):
    """Something was to be done with a run that was put away."""

    code = "run-deleted"
    problem = "{run} was deleted; nothing can be added to it or changed of it"
    remedy = "restore it first"


class NotOfClient(ModelwrightError):
    """A client wanted to add to a run that it did not make."""

    code = "not-of-client"
    problem = "{run} is of the kind {kind} and recorded by what made it; a client may tag it, and add nothing else"
    remedy = "start a run of your own, with a tag that names this one"


class TagMissing(ModelwrightError):
    """A tag was to be removed from what does not have it."""

    code = "tag-missing"
    status = 404
    problem = 'there is no tag "{name}" on {thing}'
    remedy = "look at its tags first"


class ExperimentMissing(ModelwrightError):
    """No experiment of that id or name."""

    code = "experiment-missing"
    status = 404
    problem = 'no experiment "{experiment}" in {among}'
    remedy = "search the experiments first"


class ExperimentExists(ModelwrightError):
    """A new experiment, or a new name of one, that another has."""

    code = "experiment-exists"
    status = 409
    problem = 'an experiment of the name "{name}" {state} already'
    remedy = "choose another name, or restore or rename that one"


class ExperimentDeleted(ModelwrightError):
    """Something was to be done with an experiment that was put away."""

    code = "experiment-deleted"
    problem = 'experiment "{name}" was deleted; nothing can be added to it or changed of it'
    remedy = "restore it first"


class LoggedModelMissing(ModelwrightError):
    """No logged model of that id."""

    code = "logged-model-missing"
    status = 404
    problem = 'no logged model "{model}" in this workspace'
    remedy = "search the logged models first"


class ArtifactMissing(ModelwrightError):
    """No file at that place of a run or a logged model."""

    code = "artifact-missing"
    status = 404
    problem = 'no file "{path}" here'
    remedy = "list the files first"


class ParameterFixed(ModelwrightError):
    """A run's parameter was to be given another value."""

    code = "parameter-fixed"
    status = 409
    problem = 'parameter "{name}" of {run} is {old!r} and stays so; it cannot become {new!r}'
    remedy = "log what changes as a metric or a tag, or start a child run with the other value"


class MetricNotNumber(ModelwrightError):
    """A metric's value is no number."""

    code = "metric-not-number"
    problem = 'metric "{name}" must be a number, and {value!r} is of type {kind}'
    remedy = "{advice}"


class MetricStepInvalid(ModelwrightError):
    """A metric's step is no whole number."""

    code = "metric-step-invalid"
    problem = 'the step of metric "{name}" must be a whole number, and {step!r} is none'
    remedy = 'log_metric("{name}", value, step=1), or leave the step out to count on'


class NotLoggable(ModelwrightError):
    """Something was logged as what it is not: a figure, a table, a file."""

    code = "not-loggable"
    problem = '"{name}" cannot be kept as {noun}: {reason}'
    remedy = "{advice}"


class NoActiveRun(ModelwrightError):
    """Something was logged while no run was active."""

    code = "no-active-run"
    status = 409
    problem = "{function} was called and no run is active here"
    remedy = "with modelwright.start_run(): …"


class RunEnded(ModelwrightError):
    """Something was logged to a run that has ended."""

    code = "run-ended"
    status = 409
    problem = "{run} has ended; nothing can be logged to it any more"
    remedy = "log inside of the run's `with` block, or: wright run note {run} TEXT"


class RecordsDamaged(ModelwrightError):
    """What a step wrote down to be recorded cannot be read."""

    code = "records-damaged"
    status = 422
    problem = "what {run} wrote down cannot be recorded: line {line}: {reason}"
    remedy = "wright run show {run}"


class FilterInvalid(ModelwrightError):
    """A filter for runs cannot be understood."""

    code = "filter-invalid"
    problem = 'the filter "{text}" cannot be understood at character {position}: {reason}'
    remedy = "wright run list --where 'mse < 3000 and alpha = 0.5'"


class ClientFilterInvalid(FilterInvalid):
    """A filter or an order of an MLflow client cannot be understood."""

    code = "client-filter-invalid"
    remedy = "the names, operators and quotes that go together: docs/mlflow.md"


class StepFailed(ModelwrightError):
    """A step of the pipeline raised or was ended."""

    code = "step-failed"
    status = 422
    problem = 'step "{step}" of {run} failed: {reason}'
    remedy = "read {log}, mend the code, then: wright run {folder}"


class ParameterUnknown(ModelwrightError):
    """A parameter that the pipeline does not have."""

    code = "parameter-unknown"
    problem = '"{name}" is no parameter of this pipeline; it has {known}'
    remedy = "wright run {folder} --set NAME=VALUE with one of these names"


class PipelineMissing(ModelwrightError):
    """No published pipeline, or no version of it, of that name."""

    code = "pipeline-missing"
    status = 404
    problem = 'no published pipeline "{reference}" in this workspace'
    remedy = "wright pipeline list; or publish one: wright pipeline publish PROJECT"


class PipelineDisabled(ModelwrightError):
    """A published pipeline that may not run at present."""

    code = "pipeline-disabled"
    status = 409
    problem = 'published pipeline "{reference}" is disabled, so it does not run'
    remedy = "wright pipeline enable {disabled}"


class PublishedParameterUnknown(ParameterUnknown):
    """A parameter that the published pipeline does not have."""

    code = "published-parameter-unknown"
    problem = '"{name}" is no parameter of published pipeline "{reference}"; it has {known}'
    remedy = "wright pipeline show {reference}"


class CodeMissing(ModelwrightError):
    """A run whose code is not on record, because it ended too early."""

    code = "code-missing"
    status = 409
    problem = "no code of {run} is on record: it {status} before it was kept"
    remedy = "name a run that succeeded: wright run list"


class TestsFailed(ModelwrightError):
    """The project's own tests are red."""

    code = "tests-failed"
    status = 422
    problem = 'the tests of "{folder}" failed: {summary}'
    remedy = "cd {folder} && {command}"


# --- datasets --------------------------------------------------------------------------------------------------------


class DatasetMissing(ModelwrightError):
    """No such dataset or version."""

    code = "dataset-missing"
    status = 404
    problem = 'no dataset version "{reference}" in this workspace'
    remedy = "wright dataset list"


class ReferenceInvalid(ModelwrightError):
    """A dataset version is named in no known way."""

    code = "reference-invalid"
    problem = '"{reference}" names no dataset version: write NAME:3, or NAME or NAME:latest for the newest'
    remedy = "wright dataset list"


class DatasetChanged(ModelwrightError):
    """The bytes of a pinned version are not those that were registered."""

    code = "dataset-changed"
    status = 409
    problem = (
        'dataset version "{reference}" is not what was registered: file "{file}" at "{place}" has digest '
        '"{found}", expected "{expected}"'
    )
    remedy = "{remedy}"


class DatasetGone(ModelwrightError):
    """A file of a pinned version is no longer there."""

    code = "dataset-gone"
    status = 410
    problem = (
        'dataset version "{reference}" cannot be read: file "{file}" is gone from "{place}"; '
        'its digest was "{expected}"'
    )
    remedy = "{remedy}"


class DataNotFound(ModelwrightError):
    """A path, folder or pattern that names data names nothing."""

    code = "data-not-found"
    status = 404
    problem = '"{path}" has no data: {reason}'
    remedy = "ls {folder}"


class DataNotRegular(ModelwrightError):
    """Data holds something that has no bytes of its own to pin, such as a symbolic link."""

    code = "data-not-regular"
    status = 422
    problem = '"{path}" cannot be registered: it is {what}'
    remedy = "{remedy}"


class FileNotReadable(ModelwrightError):
    """A file that is to be read cannot be."""

    code = "file-not-readable"
    status = 403
    problem = '"{path}" cannot be read: {reason}'
    remedy = "ls -l {path}"


class FileBusy(ModelwrightError):
    """A file changed while it was read."""

    code = "file-busy"
    status = 409
    problem = '"{path}" was written to while it was being read'
    remedy = "wait until whoever writes it has finished, then do it again"


class HardlinkRefused(ModelwrightError):
    """The file system does not allow a hard link."""

    code = "hardlink-refused"
    status = 422
    problem = '"{path}" cannot be kept by a hard link: {reason}'
    remedy = "--storage copy keeps its bytes, --storage reference only its digest and place"


class SourceNotReached(ModelwrightError):
    """A database that a query is for cannot be opened."""

    code = "source-not-reached"
    status = 424
    problem = 'the database "{source}" cannot be opened: {reason}'
    remedy = "--source takes the path of an SQLite file or a URL such as postgresql://USER@HOST/NAME"


class QueryFailed(ModelwrightError):
    """A database refused a query, or the query gives no table."""

    code = "query-failed"
    status = 422
    problem = 'the query "{query}" gave no table: {reason}'
    remedy = "try it in the database's own program first"


class TableNotKept(ModelwrightError):
    """A table cannot be written so that it comes back the same."""

    code = "table-not-kept"
    status = 422
    problem = 'column "{column}" cannot be kept as it is: {reason}'
    remedy = "{remedy}"


class TableUnknown(ModelwrightError):
    """What is to be registered is no table of a known kind."""

    code = "table-unknown"
    problem = 'a "{kind}" cannot be registered as a table'
    remedy = "give a frame of pandas or polars, or an Arrow table{hint}"


class NotTabular(ModelwrightError):
    """A dataset version is no table that can be read."""

    code = "not-tabular"
    status = 422
    problem = 'dataset version "{reference}" cannot be read as a table: {reason}'
    remedy = "wright dataset show {reference}; wright dataset export {reference} FOLDER gives its files"


class TimestampInvalid(ModelwrightError):
    """A column of times is missing or holds something else."""

    code = "timestamp-invalid"
    status = 422
    problem = 'column "{column}" of "{dataset}" cannot tell the time: {reason}'
    remedy = "name another column when registering: wright dataset add … --timestamp COLUMN"


class ProfileUnreadable(ModelwrightError):
    """A stored profile has a format that this release does not know."""

    code = "profile-unreadable"
    status = 409
    problem = 'the profile has format "{found}", this release knows "{known}"'
    remedy = "wright dataset profile NAME:VERSION --again"


class FolderTaken(ModelwrightError):
    """Files would be written among others."""

    code = "folder-taken"
    status = 409
    problem = '"{folder}" is there already; an export goes to a new or empty folder'
    remedy = "name another folder"


# --- models ----------------------------------------------------------------------------------------------------------


class ModelMissing(ModelwrightError):
    """No such model, version or alias."""

    code = "model-missing"
    status = 404
    problem = 'no model "{reference}" in this workspace'
    remedy = "wright model list"


class ModelNotExplainable(ModelwrightError):
    """A version has no model that could be explained."""

    code = "model-not-explainable"
    status = 422
    problem = 'model version "{version}" cannot be explained: {reason}'
    remedy = "wright model show {version}"


class ExplanationWithoutRows(ModelwrightError):
    """There are no rows to explain a version with."""

    code = "explanation-without-rows"
    status = 409
    problem = 'there are no rows to explain "{version}" with: {reason}'
    remedy = "wright model explain {version} --data FILE.csv, or --data DATASET:VERSION"


class RowsUnfit(ModelwrightError):
    """Rows that were given are not such as the model takes."""

    code = "rows-unfit"
    problem = "{reason}"
    remedy = "change the file, then: wright model explain {version} with it again"


class ExplanationFailed(ModelwrightError):
    """Explaining a version ended with an error of the model's or its libraries'."""

    code = "explanation-failed"
    status = 422
    problem = 'explaining "{version}" failed: {reason}'
    remedy = "wright model explain {version} --data FILE.csv with rows that the model answers"


class ImportSourceInvalid(ModelwrightError):
    """What is to be imported is not what it should be, or cannot be read."""

    code = "import-source-invalid"
    problem = '"{source}" cannot be imported: {reason}'
    remedy = "name a folder mlruns, a file mlflow.db, or the address of a running MLflow server"


class ModelExists(ModelwrightError):
    """A new model whose name another has."""

    code = "model-exists"
    status = 409
    problem = 'a model "{model}" is there already'
    remedy = "register versions of it, or choose another name"


class KindNotKept(ModelwrightError):
    """A client sends things of a kind that a workspace does not keep."""

    code = "kind-not-kept"
    status = 501
    problem = "this workspace keeps no {kind}, and nothing of this was kept; runs, metrics, files and models are"
    remedy = "{remedy}"


class ModelRenamed(ModelMissing):
    """A model is called otherwise now."""

    code = "model-renamed"
    problem = 'model "{model}" is called "{name}" now'
    remedy = "wright model show {reference}"


class ModelNameUsed(ModelwrightError):
    """A model cannot have the name of a deleted one, for numbers would be given twice."""

    code = "model-name-used"
    status = 409
    problem = 'versions up to {version} of a model "{model}" were deleted, and no number is given twice'
    remedy = "choose another name"


class ModelNameInUse(InUse):
    """A model keeps its name while it is deployed, for what serves tells it; all of that is told as with deletions."""

    code = "model-name-in-use"
    problem = "{thing} is deployed and keeps its name: by\n{told}"


class VersionFixed(ModelwrightError):
    """A file of a version was to be written or deleted."""

    code = "version-fixed"
    problem = "the files of model version {version} never change"
    remedy = "register a new version"


class AliasMissing(ModelwrightError):
    """A model has no such alias."""

    code = "alias-missing"
    status = 404
    problem = 'model "{model}" has no alias "{alias}"'
    remedy = "wright model list {model}"


class PropertyFixed(ModelwrightError):
    """A version's property was to be given another value."""

    code = "property-fixed"
    status = 409
    problem = 'property "{name}" of {version} is "{old}" and stays so; it cannot become "{new}"'
    remedy = "say what changes with a tag: wright model tag {version} {name}=VALUE"


class VersionIncomplete(ModelwrightError):
    """A version lacks what is asked of it, because it was not made by a run of this workspace."""

    code = "version-incomplete"
    status = 409
    problem = "{version} {reason}"
    remedy = "{next}"


class SourceMissing(ModelwrightError):
    """What is to be registered is not there."""

    code = "source-missing"
    status = 404
    problem = '"{path}" cannot be registered: {reason}'
    remedy = "ls {folder}; a run is named by its id: wright run list"


class FrameworkMissing(ModelwrightError):
    """A framework's version was given, and no framework."""

    code = "framework-missing"
    problem = 'the framework version "{version}" says nothing without its framework'
    remedy = "wright model register … --framework NAME --framework-version {version}"


class AlreadyRegistered(ModelwrightError):
    """A version with the same tag is there, and there is to be one only."""

    code = "already-registered"
    status = 409
    problem = "{version} was registered with the tag {tag} already"
    remedy = "wright model show {version}; or register once more without --once-per"


class VersionNotRegistrable(ModelwrightError):
    """Files that may not become a version, because they do not do what was said of them."""

    code = "version-not-registrable"
    status = 422
    problem = 'no version of "{model}" was registered: {reason}'
    remedy = "{next}"


class ModelFolderInvalid(ModelwrightError):
    """The description in a folder that MLflow wrote cannot be read."""

    code = "model-folder-invalid"
    status = 422
    problem = '"{path}" does not describe a model as MLflow does: {reason}'
    remedy = "save the model again, or delete the file to register the folder as plain files"


class VersionDamaged(ModelwrightError):
    """The bytes of a version are not those that were registered, and no good copy of them is left."""

    code = "version-damaged"
    status = 500
    problem = '{version} is not what was registered: file "{file}" is {found}, registered was the digest "{expected}"'
    remedy = "wright model verify {version}; restore the workspace's blobs from a backup, or import an export of it"


class ExportInvalid(ModelwrightError):
    """A file is no export of a version, or not as it was written."""

    code = "export-invalid"
    status = 422
    problem = '"{path}" cannot be imported: {reason}'
    remedy = "write it again where the version is: wright model export MODEL:VERSION FILE"


class ExportTooNew(ModelwrightError):
    """An export was written by a later release."""

    code = "export-too-new"
    status = 409
    problem = '"{path}" was written by a newer modelwright: its format is {found}, this release reads up to {known}'
    remedy = "pip install --upgrade modelwright"


class RunNotRegistrable(ModelwrightError):
    """A run whose results may not become a version."""

    code = "run-not-registrable"
    status = 409
    problem = "{run} cannot be registered: {reason}"
    remedy = "train again, in the folder of project {project}: wright run"


class MetricMissing(ModelwrightError):
    """The gate has nothing to decide on."""

    code = "metric-missing"
    status = 422
    problem = 'the gate compares "{metric}", and {source} has no such metric; it has {known}'
    remedy = "print it in the notebook, or return it where the model is measured, or name another in {manifest}"


class GateWithoutMetric(ModelwrightError):
    """The gate has no metric, so it cannot tell which of two models is better."""

    code = "gate-without-metric"
    status = 422
    problem = 'the gate of project "{project}" has no metric to compare models by: none was found in the notebook'
    remedy = (
        "print a metric in the notebook, or name one under [gate] in {folder}/wright.toml, "
        "or leave the gate out: wright run {folder} --no-gate"
    )


class RunCancelled(ModelwrightError):
    """A decision that ends a run `cancelled`: nobody failed, and nothing is registered."""

    code = "run-cancelled"
    status = 409
    problem = "{run} was cancelled: {reason}"
    remedy = "wright run {folder}"


class RunStopped(RunCancelled):
    """Somebody, or a step of the run itself, asked for its end."""

    code = "run-stopped"
    status = 409
    problem = "{run} was cancelled: {reason}"
    remedy = "wright run resume {run}"


class RunNotStarted(ModelwrightError):
    """A run of a published pipeline whose process ended before it was on record."""

    code = "run-not-started"
    status = 500
    problem = 'the run of "{reference}" did not begin: its process ended before it was on record'
    remedy = "read {log}"


class RunNotResumable(ModelwrightError):
    """A run that cannot go on: it succeeded, is running, or is of a kind that has no steps."""

    code = "run-not-resumable"
    status = 409
    problem = "{run} cannot be resumed: {reason}"
    remedy = "wright run show {run}"


class RunNotRunning(ModelwrightError):
    """A run that is to be cancelled and has ended."""

    code = "run-not-running"
    status = 409
    problem = "{run} is {status}: there is nothing to cancel"
    remedy = "wright run show {run}"


class NotBetter(RunCancelled):
    """The gate's verdict: the new model does not beat the champion."""

    code = "not-better"
    status = 409
    problem = (
        "not better than {champion}, nothing registered: {metric} is {new!r} {where} where {champion} has {old!r} "
        "({goal} it; {interval}); the run is cancelled"
    )
    remedy = "change the notebook, the code, or a parameter: wright run {folder} --set NAME=VALUE"


class GateRefused(RunCancelled):
    """The gate's verdict: the new model breaks a rule of the gate."""

    code = "gate-refused"
    status = 409
    problem = "the gate refuses the new model, nothing registered: {reasons} ({comparison}); the run is cancelled"
    remedy = "wright run show {run}; the rules are those under [gate] in {folder}/wright.toml"


# --- lifecycle -------------------------------------------------------------------------------------------------------


class ProofDiffers(ModelwrightError):
    """The project's results are not the notebook's."""

    code = "proof-differs"
    status = 422
    problem = "the project does not do what the notebook did: {differences}"
    remedy = "compare both in {folder}, then: wright prove {folder}"


class TriggerInvalid(ModelwrightError):
    """What a schedule is to wait for cannot be understood, or never comes."""

    code = "trigger-invalid"
    problem = '"{value}" cannot be waited for: {rule}'
    remedy = "write it like this: {example}"


class ScheduleMissing(ModelwrightError):
    """No schedule of that name."""

    code = "schedule-missing"
    status = 404
    problem = 'no schedule "{name}" in this workspace'
    remedy = "wright schedule list"


class ScheduleExists(ModelwrightError):
    """A schedule of that name is there already."""

    code = "schedule-exists"
    status = 409
    problem = 'there is a schedule "{name}" already'
    remedy = "choose another name, or remove it first: wright schedule remove {name}"


class ApiNotInstalled(ModelwrightError):
    """The HTTP API needs libraries that are not installed."""

    code = "api-not-installed"
    status = 424
    problem = "the HTTP API needs FastAPI and uvicorn, which are not installed"
    remedy = 'pip install "modelwright[api]", then: wright up'


class ApiPortTaken(ModelwrightError):
    """Something else listens where the HTTP API is to be, or was the last time."""

    code = "api-port-taken"
    status = 409
    problem = 'the HTTP API cannot be served at port {port} of "{host}": {reason}'
    remedy = "end what listens there, or choose another port for good: wright up --api-port PORT"


class LoginsDamaged(ModelwrightError):
    """The file of the tokens that `wright login` has kept is not as it was written."""

    code = "logins-damaged"
    problem = 'the kept tokens in "{path}" cannot be read: {reason}'
    remedy = "mend the file, or remove it and log in again: rm {path}"


class TokenUnknown(ModelwrightError):
    """A request to the HTTP API without a token of this workspace."""

    code = "token-unknown"
    status = 401
    problem = "the request has no token of this workspace"
    remedy = "send the header Authorization: Bearer TOKEN; an owner makes one: wright token create NAME --role ROLE"


class ValueRefused(ModelwrightError):
    """A request of an MLflow client gives something that cannot be taken."""

    code = "value-refused"
    problem = 'invalid value for "{name}": {rule}'
    remedy = "correct it and ask again"


class RoleTooLow(ModelwrightError):
    """A token whose role does not allow what was asked for."""

    code = "role-too-low"
    status = 403
    problem = 'the token of "{name}" has the role {role}, and this takes {needed}'
    remedy = "an owner makes a token with that role: wright token create NAME --role {needed}"


class WorkspaceNotReached(ModelwrightError):
    """The workspace elsewhere does not answer."""

    code = "workspace-not-reached"
    status = 502
    problem = 'the workspace at "{url}" does not answer: {reason}'
    remedy = "wright up, on the machine where the workspace is"


class RouteMissing(ModelwrightError):
    """A request to the HTTP API for a path that it does not have."""

    code = "route-missing"
    status = 404
    problem = 'the HTTP API has no "{path}"'
    remedy = "GET /openapi.json tells what there is; GET /docs shows it"


class MethodNotAllowed(ModelwrightError):
    """A request to the HTTP API for a path that it has, with a method that means nothing there."""

    code = "method-not-allowed"
    status = 405
    problem = '"{method}" means nothing at "{path}"'
    remedy = "GET /openapi.json tells which methods it takes; the header Allow too"


class RequestInvalid(ModelwrightError):
    """A request to the HTTP API whose path, query or body is not what the route takes."""

    code = "request-invalid"
    status = 422
    problem = '"{place}": {rule}'
    remedy = "GET /openapi.json tells what is taken"


class RequestTooLarge(ModelwrightError):
    """A request to the HTTP API with a longer body than it reads."""

    code = "request-too-large"
    status = 413
    problem = "the request's body is longer than {limit:,} bytes"
    remedy = "send less; files go to the routes that take archives"


class FileMissing(ModelwrightError):
    """A request to the HTTP API for a file that a version or run does not have."""

    code = "file-missing"
    status = 404
    problem = '"{thing}" has no file "{path}"'
    remedy = "its own route tells which files it has"


class PageUnknown(ModelwrightError):
    """A page of a list that is to begin after something that the list does not have."""

    code = "page-unknown"
    status = 422
    problem = 'the list does not have "{after}", which the page is to begin after'
    remedy = "ask without `after`, then follow the Link header"


class Refused(ModelwrightError):
    """What a workspace elsewhere refused a client of its API.

    `code` is that of its own error, of which `told` has all, and `http_status` the answer's.
    """

    code = "refused"
    status = 502
    problem = "{message}"
    remedy = "{command}"

    def __init__(
        self, *, told: Mapping[str, Any] | None = None, http_status: int = 502, message: str = "", command: str = ""
    ) -> None:
        """Take the error as the API has told it, or a message and the next command in its place."""
        self.told = told or {"message": message, "next_command": command}
        self.http_status = http_status
        super().__init__(message=self.told.get("message", ""), command=self.told.get("next_command", ""))
        self.__dict__["code"] = self.told.get("code", self.code)


class RunNotEnded(ModelwrightError):
    """A run that was waited for goes on."""

    code = "run-not-ended"
    status = 504
    problem = 'run "{run}" is still {run_status} after {seconds:g} s'
    remedy = "wait longer, or look: wright run show {run}"


class Fault(ModelwrightError):
    """A request to the HTTP API met a fault of ours."""

    code = "fault"
    status = 500
    problem = "the request could not be answered, through a fault of Modelwright"
    remedy = "read background.log in the workspace, and report what it says"


class ParcelInvalid(ModelwrightError):
    """Files that travel to or from a workspace elsewhere cannot be taken as they are."""

    code = "parcel-invalid"
    problem = "the files cannot be taken as they were sent: {reason}"
    remedy = "send plain files and folders, or run the command on the machine where the workspace is"


class WorkspaceRefused(ModelwrightError):
    """The server of the workspace elsewhere refuses what was sent."""

    code = "workspace-refused"
    status = 403
    problem = 'the workspace at "{url}" refuses that: {reason}'
    remedy = "{next}"


class NotFromElsewhere(ModelwrightError):
    """A command that only makes sense where the workspace is, given to one elsewhere."""

    code = "not-from-elsewhere"
    problem = '"wright {command}" does not work with a workspace elsewhere'
    remedy = "{next}"


class BackgroundNotStarted(ModelwrightError):
    """The process that works in the background ended before it was ready."""

    code = "background-not-started"
    status = 500
    problem = 'the process that works in the background did not start; its log is "{log}"'
    remedy = "read {log}, then: wright up"


class TokenExists(ModelwrightError):
    """A token of that name counts already."""

    code = "token-exists"
    status = 409
    problem = 'there is a token "{name}" already'
    remedy = "choose another name, or revoke it first: wright token revoke {name}"


class TokenMissing(ModelwrightError):
    """No token of that name counts."""

    code = "token-missing"
    status = 404
    problem = 'there is no token "{name}" that still counts'
    remedy = "wright token list"


class HostNotOpen(ModelwrightError):
    """The API is to be open to other machines, and nobody has a token for it."""

    code = "host-not-open"
    status = 403
    problem = 'the HTTP API is not opened to "{host}" before there is a token: nobody could use it'
    remedy = "wright token create NAME --role contributor, then: wright up --api-host {host}"


class SpaceInvalid(ModelwrightError):
    """What a parameter may be in a sweep cannot be understood."""

    code = "space-invalid"
    problem = '"{text}" is no space of values that a sweep can try: {rule}'
    remedy = "write it like one of these: {examples}"


class StopRuleInvalid(ModelwrightError):
    """What is to end a sweep early cannot be understood."""

    code = "stop-rule-invalid"
    problem = '"{text}" is no rule that ends a sweep early'
    remedy = "write it like one of these: {examples}"


class SweepMissing(ModelwrightError):
    """A run that is no sweep."""

    code = "sweep-missing"
    status = 404
    problem = '"{run}" is no sweep of this workspace'
    remedy = "wright run list"


class SweepFailed(ModelwrightError):
    """Not one trial of a sweep came to a value."""

    code = "sweep-failed"
    status = 422
    problem = "all {count} trials of {run} failed, the last one so: {reason}"
    remedy = "wright sweep show {run}"


class SweepMetricMissing(ModelwrightError):
    """The trials of a sweep do not have the metric that they are compared by."""

    code = "sweep-metric-missing"
    status = 422
    problem = 'the sweep compares "{metric}", and {source} has no such metric; it has {known}'
    remedy = "wright sweep {folder} --metric METRIC, with one that it has"


class SweepWithoutMetric(ModelwrightError):
    """Nobody said what the trials of a sweep are compared by."""

    code = "sweep-without-metric"
    problem = 'the trials of project "{project}" have nothing to be compared by: its gate names no metric'
    remedy = "wright sweep {folder} --metric METRIC --goal minimize, or maximize"


class SweepsNotInstalled(ModelwrightError):
    """A sampler needs a library that is not installed."""

    code = "sweeps-not-installed"
    status = 424
    problem = 'the sampler "{sampler}" needs Optuna, which is not installed'
    remedy = 'pip install "modelwright[sweeps]", or choose --sampler random'


# --- environments ----------------------------------------------------------------------------------------------------


class InterpreterUnreadable(ModelwrightError):
    """An interpreter cannot say what it has installed."""

    code = "interpreter-unreadable"
    status = 424
    problem = 'Python "{python}" cannot tell what it has installed: {reason}'
    remedy = "{python} --version, or choose another with --python"


class InterpreterDiffers(ModelwrightError):
    """An interpreter has other versions than those that a project was made with, so that comparing says nothing."""

    code = "interpreter-differs"
    status = 409
    problem = 'Python "{python}" has {found}, but the project was made with {wanted}'
    remedy = "wright prove --python PATH, of an environment that the notebook ran in"


class ModuleNotInstalled(ModelwrightError):
    """The code imports a module that the interpreter does not have."""

    code = "module-not-installed"
    status = 424
    problem = 'module "{module}" is not installed in "{python}"'
    remedy = "{python} -m pip install {distribution}"


class ModuleNotDistributed(ModelwrightError):
    """The code imports a module that no installed distribution owns, so that it cannot be pinned."""

    code = "module-not-distributed"
    status = 422
    problem = 'module "{module}" lies in "{origin}" and belongs to no installed distribution, so it cannot be locked'
    remedy = "copy it into the notebook's folder, or make a package of it and pip install that"


class DistributionEditable(ModelwrightError):
    """A distribution is a link to a source folder, whose content a lock cannot pin."""

    code = "distribution-editable"
    status = 422
    problem = '"{distribution}" is installed as an editable link to "{folder}", so its content cannot be locked'
    remedy = "pip install --no-deps --force-reinstall {folder}"


class DistributionNotPacked(ModelwrightError):
    """An installed distribution cannot be made into a wheel again."""

    code = "distribution-not-packed"
    status = 422
    problem = '"{distribution}" cannot be made into a wheel from its installed files: {reason}'
    remedy = "pip install --force-reinstall {distribution}"


class EnvironmentNotLocked(ModelwrightError):
    """No lock could be made of what an interpreter has."""

    code = "environment-not-locked"
    status = 424
    problem = 'what "{python}" has installed cannot be locked: {reason}'
    remedy = "connect to the package index, then do it again"


class EnvironmentNotBuilt(ModelwrightError):
    """A lock could not be made into an environment."""

    code = "environment-not-built"
    status = 424
    problem = 'the environment "{folder}" could not be built: {reason}'
    remedy = "connect to the package index, then do it again; wright doctor looks for other causes"


class SpecificationMissing(ModelwrightError):
    """There is no file to make an environment of."""

    code = "specification-missing"
    status = 404
    problem = 'there is no file "{path}" that could say what an environment is to have{place}'
    remedy = "ls {folder}"


class SpecificationInvalid(ModelwrightError):
    """A file cannot be read as what an environment is to have."""

    code = "specification-invalid"
    status = 422
    problem = '"{file}"{place} does not say what an environment is to have: {reason}'
    remedy = "{fix}"


class EnvironmentNotResolved(ModelwrightError):
    """No set of exact versions satisfies what a file asks for."""

    code = "environment-not-resolved"
    status = 422
    problem = '"{file}" cannot be locked for Python {python_version} on {platform}: {reason}'
    remedy = "{fix}"


class InterpreterUnfit(ModelwrightError):
    """What a file asks for needs another Python version than those found."""

    code = "interpreter-unfit"
    status = 424
    problem = '{wanted} is asked for by "{file}", but "{python}" is Python {found}'
    remedy = "{fix}"


class EnvironmentMissing(ModelwrightError):
    """No such environment, version or digest."""

    code = "environment-missing"
    status = 404
    problem = 'no environment "{reference}"; a reference is NAME, NAME:VERSION or the beginning of a digest'
    remedy = "wright environment list"


class EnvironmentAmbiguous(ModelwrightError):
    """A reference means several environments."""

    code = "environment-ambiguous"
    status = 409
    problem = '"{reference}" means several environments: {meanings}'
    remedy = "{fix}"


class EnvironmentInUse(ModelwrightError):
    """A built environment that something runs in may not be removed."""

    code = "environment-in-use"
    status = 409
    problem = 'environment "{reference}" is in use by {users}'
    remedy = "wright endpoint stop ENDPOINT, or wait for the run; then do it again"


class FileInTheWay(ModelwrightError):
    """Something would be written over a file of the user's."""

    code = "file-in-the-way"
    status = 409
    problem = '"{path}" is there already; it is not written over'
    remedy = "choose another place, or: rm {path}"


# --- notebooks -------------------------------------------------------------------------------------------------------


class NotebookMissing(ModelwrightError):
    """The notebook's file is not there."""

    code = "notebook-missing"
    status = 404
    problem = 'there is no notebook "{path}"{instead}'
    remedy = "ls {folder}"


class NotebookCorrupt(ModelwrightError):
    """The file is no notebook that can be read."""

    code = "notebook-corrupt"
    status = 422
    problem = '"{path}" is not a notebook that can be read: {reason}'
    remedy = "open it in Jupyter, mend it and save it again"


class NotebookNotConvertible(ModelwrightError):
    """Analysis found something that makes a true conversion impossible; nothing was run."""

    code = "notebook-not-convertible"
    status = 422
    problem = '"{notebook}" cannot be converted: {message}{place}'
    remedy = "{fix}"


class NotebookTooLarge(ModelwrightError):
    """The notebook's folder is too large to be copied for a run."""

    code = "notebook-too-large"
    status = 413
    problem = (
        'the folder "{folder}" of the notebook holds {size_bytes} bytes, '
        "more than the {limit_bytes} that are copied for a run"
    )
    remedy = "move the notebook and the data that it reads to a folder of their own"


class NotebookRaised(ModelwrightError):
    """A cell raised an exception in a fresh kernel."""

    code = "notebook-raised"
    status = 422
    problem = '"{notebook}" raised in cell {cell}, line {line}: {ename}: {evalue}\n  {statement}{frames}'
    remedy = "run the notebook from top to bottom in a fresh kernel and mend the cell"


class NotebookTimedOut(ModelwrightError):
    """A cell ran longer than it may; its kernel was ended."""

    code = "notebook-timed-out"
    status = 504
    problem = '"{notebook}" was ended: cell {cell} ran longer than {timeout_seconds:g} s'
    remedy = "make the cell do less, or allow more time"


class KernelMissing(ModelwrightError):
    """The Python that the notebook is to run in has no kernel."""

    code = "kernel-missing"
    status = 424
    problem = '"{python}" cannot run notebooks: it has no ipykernel'
    remedy = "{python} -m pip install ipykernel"


class KernelDied(ModelwrightError):
    """The kernel's process ended while a cell ran."""

    code = "kernel-died"
    status = 500
    problem = '"{notebook}" ended its kernel in cell {cell}: the process was killed or crashed (out of memory?)'
    remedy = "run the notebook in Jupyter and watch its memory"


class ProjectRaised(ModelwrightError):
    """The project that was made from the notebook failed in a fresh process."""

    code = "project-raised"
    status = 422
    problem = 'project "{project}" failed where its notebook did not:\n{traceback}'
    remedy = "convert the notebook again; if it fails again, report the notebook to us"


# --- serving ---------------------------------------------------------------------------------------------------------


class NoFreePort(ModelwrightError):
    """The port that an endpoint was to listen on cannot be had."""

    code = "no-free-port"
    status = 409
    problem = 'port "{port}" of "{host}" cannot be used: {reason}'
    remedy = "choose another port with --port, or leave --port out and one is chosen"


class EndpointNotStarted(ModelwrightError):
    """The process that serves an endpoint ended, or fell silent, before it answered."""

    code = "endpoint-not-started"
    status = 500
    problem = 'endpoint "{endpoint}" did not start: {reason}'
    remedy = "wright endpoint logs {endpoint}"


class EndpointNotRunning(ModelwrightError):
    """Nothing serves this endpoint."""

    code = "endpoint-not-running"
    status = 404
    problem = 'endpoint "{endpoint}" is not running'
    remedy = "wright up"


class EndpointUnresponsive(ModelwrightError):
    """The process that serves an endpoint lives but does not answer commands."""

    code = "endpoint-unresponsive"
    status = 504
    problem = 'the process of endpoint "{endpoint}" lives but does not answer: {reason}'
    remedy = "wright endpoint stop {endpoint}"


class EndpointOutdated(ModelwrightError):
    """An endpoint is served by a process of another build, which takes or tells other things than this one knows."""

    code = "endpoint-outdated"
    status = 409
    problem = 'endpoint "{endpoint}" is served by a process of another build of modelwright: {reason}'
    remedy = "wright down, then: wright up"


class EndpointNotReached(ModelwrightError):
    """A scoring request found no server."""

    code = "endpoint-not-reached"
    status = 503
    problem = 'no answer from "{url}": {reason}'
    remedy = "wright endpoint list"


class ArraysInvalid(ModelwrightError):
    """A file of a model's arrays cannot be read, or they are no model."""

    code = "arrays-invalid"
    status = 422
    problem = 'the arrays of "{path}" cannot be used: {reason}'
    remedy = "none is needed: the model's own process answers"


class WorkerFailed(ModelwrightError):
    """A model version's process did not become ready, or did not answer its sample."""

    code = "worker-failed"
    status = 422
    problem = 'model version "{version}" cannot serve: {reason}'
    remedy = "read the log of its endpoint"


class DeploymentFailed(ModelwrightError):
    """A model version was not put into service; what served before it still does.

    The fact `log_tail` holds what the version's process wrote.
    """

    code = "deployment-failed"
    status = 422
    problem = 'model version "{version}" was not deployed to endpoint "{endpoint}": {reason}'
    remedy = "wright endpoint logs {endpoint}"


class CaptureNotWritten(ModelwrightError):
    """A request could not be recorded, so it is not answered."""

    code = "capture-not-written"
    status = 503
    problem = 'the capture folder "{folder}" cannot be written to: {reason}'
    remedy = "free space on its disk, or make the folder writable"


class CaptureDamaged(ModelwrightError):
    """A capture file holds something that was never written by us."""

    code = "capture-damaged"
    status = 500
    problem = 'capture file "{file}" is damaged{place}: {reason}'
    remedy = "move the file away; the other files can be read without it"


class CaptureEmpty(ModelwrightError):
    """Nothing was captured that answers to what is asked."""

    code = "capture-empty"
    status = 404
    problem = 'endpoint "{endpoint}" has no captured requests{narrowed}'
    remedy = "wright capture stats {endpoint}"


class LabelsInvalid(ModelwrightError):
    """A file of labels cannot be read as one."""

    code = "labels-invalid"
    status = 422
    problem = 'labels in "{file}" cannot be read: {reason}'
    remedy = "wright capture label ENDPOINT FILE --id COLUMN --label COLUMN"


class EndpointMissing(ModelwrightError):
    """No endpoint of that name."""

    code = "endpoint-missing"
    status = 404
    problem = 'no endpoint "{endpoint}" in this workspace'
    remedy = "wright endpoint list"


class DeploymentMissing(ModelwrightError):
    """An endpoint has no deployment of that name or version."""

    code = "deployment-missing"
    status = 404
    problem = 'endpoint "{endpoint}" has no deployment "{version}"'
    remedy = "wright endpoint show {endpoint}"


class DeploymentUnschedulable(ModelwrightError):
    """A deployment asks for more than the machine has; it is on record as that, and what served before still does."""

    code = "deployment-unschedulable"
    status = 409
    problem = 'model version "{version}" cannot be placed behind endpoint "{endpoint}": {reason}'
    remedy = "ask for less with --workers and --memory; wright endpoint show {endpoint}"


class DeploymentExists(ModelwrightError):
    """A deployment of that name serves already."""

    code = "deployment-exists"
    status = 409
    problem = 'endpoint "{endpoint}" has a deployment "{name}" already: it serves {version}'
    remedy = "wright endpoint update {endpoint} {name} MODEL:VERSION, or another name with --as"


class DeploymentHasTraffic(ModelwrightError):
    """A deployment that others' requests go to may not be taken away."""

    code = "deployment-has-traffic"
    status = 409
    problem = 'deployment "{name}" of endpoint "{endpoint}" {reason}'
    remedy = "{next}"


class WorkingCopyMissing(ModelwrightError):
    """The scoring script that a version was made from is not known, or is gone."""

    code = "working-copy-missing"
    status = 404
    problem = "the scoring script of {version} that you work on is not known: {reason}"
    remedy = "wright endpoint reload {endpoint} --script FILE"


class NothingToRollBack(ModelwrightError):
    """An endpoint's traffic has not been changed since it began."""

    code = "nothing-to-roll-back"
    status = 409
    problem = 'endpoint "{endpoint}" has nothing to go back to: {reason}'
    remedy = "wright endpoint history {endpoint}"


class TrafficInvalid(ModelwrightError):
    """Requests cannot be shared out like that."""

    code = "traffic-invalid"
    problem = "{reason}: {rule}"
    remedy = "wright endpoint traffic NAME DEPLOYMENT=PERCENT …"


class KeyUnfit(ModelwrightError):
    """What somebody wants for an endpoint's key cannot be one. The text never repeats it."""

    code = "key-unfit"
    status = 422
    problem = "that cannot be a key of an endpoint: {reason}; the rule is that {rule}"
    remedy = "wright endpoint regenerate NAME primary, which makes one"


class EndpointRunning(ModelwrightError):
    """An endpoint that takes requests may not be deleted."""

    code = "endpoint-running"
    status = 409
    problem = 'endpoint "{endpoint}" is running'
    remedy = "wright endpoint stop {endpoint}"


class PlanInvalid(ModelwrightError):
    """A plan of a rollout that cannot be followed."""

    code = "plan-invalid"
    status = 422
    problem = 'the plan "{plan}" cannot be followed: {reason}'
    remedy = "wright rollout start ENDPOINT MODEL:VERSION --steps 5,25,50,100 --hold 10m"


class RolloutMissing(ModelwrightError):
    """An endpoint that has had no rollout."""

    code = "rollout-missing"
    status = 404
    problem = 'endpoint "{endpoint}" has no rollout'
    remedy = "wright rollout start {endpoint} MODEL:VERSION"


class RolloutNotOpen(ModelwrightError):
    """A rollout that has ended, or is not where the command needs it."""

    code = "rollout-not-open"
    status = 409
    problem = 'the rollout of {version} to endpoint "{endpoint}" is {rollout_status}: {reason}'
    remedy = "wright rollout show {endpoint}"


class RolloutOpen(ModelwrightError):
    """An endpoint has one rollout at a time."""

    code = "rollout-open"
    status = 409
    problem = 'endpoint "{endpoint}" has a rollout already: {version} is {rollout_status} at step {step}'
    remedy = "wright rollout show {endpoint}; to end it: wright rollout abort {endpoint}"


class RolloutNotStarted(ModelwrightError):
    """The process that watches a rollout did not come up."""

    code = "rollout-not-started"
    status = 500
    problem = 'nobody watches the rollout of {version} to endpoint "{endpoint}"; the watcher\'s log is "{log}"'
    remedy = "wright rollout resume {endpoint}"


class NothingToCompare(ModelwrightError):
    """A verdict needs two deployments behind one endpoint."""

    code = "nothing-to-compare"
    status = 409
    problem = 'endpoint "{endpoint}" has no two deployments to compare: {found}'
    remedy = "wright rollout start {endpoint} MODEL:VERSION"


# --- lineage ---------------------------------------------------------------------------------------------------------


class LineageMissing(ModelwrightError):
    """Nothing in the workspace, or more than one thing, is called so."""

    code = "lineage-missing"
    status = 404
    problem = '{kind} "{name}": {reason}'
    remedy = "{next}"


class RequestMissing(ModelwrightError):
    """No captured request has this id."""

    code = "request-missing"
    status = 404
    problem = 'no captured request has the id "{request}"; {looked}'
    remedy = "wright endpoint list; an answer's id is its header x-request-id"


# --- events ----------------------------------------------------------------------------------------------------------


class EventTypeUnknown(ModelwrightError):
    """A type of events that there is not."""

    code = "event-type-unknown"
    problem = 'no event has the type "{type}"{near}'
    remedy = "--types 'model.*', or one of docs/reference/events.md"


class EventFilterInvalid(ModelwrightError):
    """A condition on events that cannot be asked."""

    code = "event-filter-invalid"
    problem = 'events cannot be filtered by "{what}": {rule}'
    remedy = "--filter 'data.tags.area StringIn diabetes,heart'"


class EventMissing(ModelwrightError):
    """No event of that id."""

    code = "event-missing"
    status = 404
    problem = 'no event "{event}" in this workspace'
    remedy = "wright event list"


class SubscriberInvalid(ModelwrightError):
    """Whom or what events are to reach cannot be reached like that."""

    code = "subscriber-invalid"
    problem = 'events cannot go to "{target}": {rule}'
    remedy = "{example}"


class AddressRefused(ModelwrightError):
    """A name leads to an address that is not for everybody, and nobody allowed that."""

    code = "address-refused"
    status = 403
    problem = '"{host}" is at {address}, {reason}: requests there are refused'
    remedy = "an owner allows it for one subscription with --allow-private"


class SubscriptionMissing(ModelwrightError):
    """No subscription of that name."""

    code = "subscription-missing"
    status = 404
    problem = 'no subscription "{name}" in this workspace'
    remedy = "wright event subscriptions"


class SubscriptionExists(ModelwrightError):
    """A subscription of that name is there already."""

    code = "subscription-exists"
    status = 409
    problem = 'there is a subscription "{name}" already'
    remedy = "choose another name, or remove it first: wright event unsubscribe {name}"


class ConfirmationUnknown(ModelwrightError):
    """An address that confirms nothing: it was never given out, or its time is over."""

    code = "confirmation-unknown"
    status = 401
    problem = "no subscription waits for this confirmation, or not any more"
    remedy = "wright event resume NAME asks the webhook once more"


class DeliveryMissing(ModelwrightError):
    """No delivery has this id."""

    code = "delivery-missing"
    status = 404
    problem = 'no delivery "{delivery}" in this workspace'
    remedy = "wright event deliveries"


class DeliveryUnderway(ModelwrightError):
    """Only what was delivered or given up can be delivered once more."""

    code = "delivery-underway"
    status = 409
    problem = 'delivery "{delivery}" goes on by itself: it is tried next at {due_at}'
    remedy = "wright event deliveries --subscription {subscription}"


# --- automation ------------------------------------------------------------------------------------------------------


class AutomationMissing(ModelwrightError):
    """A project without `ci.toml`."""

    code = "automation-missing"
    status = 404
    problem = 'the project "{folder}" has no ci.toml, which says what automation does with it'
    remedy = "wright ci init {folder}"


class AutomationInvalid(ModelwrightError):
    """`ci.toml` cannot be followed."""

    code = "automation-invalid"
    status = 422
    problem = '"{path}" cannot be followed: {reason}'
    remedy = "mend it; or delete it, and wright ci init writes it anew"


class AutomationKept(ModelwrightError):
    """`ci.toml` is its owner's, and says something else than was asked for."""

    code = "automation-kept"
    status = 409
    problem = '"{path}" is there and stays as it is: as {what} it has "{found}"'
    remedy = "change it there, then: wright ci init --overwrite {project}"


class TargetMissing(ModelwrightError):
    """A release is to go where `ci.toml` knows nothing of."""

    code = "target-missing"
    status = 404
    problem = '"{path}" has no target "{target}"; it has {known}'
    remedy = "add [targets.{target}] there, or name one that it has"


class WorkflowsKept(ModelwrightError):
    """Files of automation that are there are not replaced unasked."""

    code = "workflows-kept"
    status = 409
    problem = "{files} would be replaced, and may have been changed by hand"
    remedy = "wright ci init --overwrite {project}"


class RepositoryMissing(ModelwrightError):
    """What works with commits needs a repository with one."""

    code = "repository-missing"
    status = 404
    problem = '"{folder}" is in no git repository with a commit'
    remedy = "git init && git add . && git commit"


class CommitMissing(ModelwrightError):
    """A repository has no such commit."""

    code = "commit-missing"
    status = 404
    problem = 'the repository "{folder}" has no commit "{commit}"'
    remedy = "git log"


class BranchMissing(ModelwrightError):
    """A repository has no such branch."""

    code = "branch-missing"
    status = 404
    problem = 'the repository "{folder}" has no branch "{branch}"'
    remedy = "name one that it has as `branch` in ci.toml"


class GitFailed(ModelwrightError):
    """Git does not do what it is asked for."""

    code = "git-failed"
    status = 424
    problem = 'git does not do "{command}" in "{folder}": {told}'
    remedy = "git -C '{folder}' status"


class QualityFailed(ModelwrightError):
    """A project's lint or its tests are not green, or nothing of it is covered."""

    code = "quality-failed"
    status = 422
    problem = '"{project}" does not pass: {told}; the reports are in "{into}"'
    remedy = "wright test {project}"


class BuildUnnamed(ModelwrightError):
    """A build without an id, by which others could find what it made."""

    code = "build-unnamed"
    problem = 'the build has no id: "{project}" is in no git repository with a commit'
    remedy = "the same command with --build ID"


class ModelNotRegistered(ModelwrightError):
    """No version was registered for a build: its run failed, or the gate refused what it made."""

    code = "model-not-registered"
    status = 404
    problem = "Model was not registered for this run."
    remedy = "wright run list --tag BuildId={build}"


class BuildAmbiguous(ModelwrightError):
    """More than one version says that it is of one build."""

    code = "build-ambiguous"
    status = 409
    problem = 'build "{build}" has {count} versions, and there must be one: {versions}'
    remedy = "name the version itself, or take the tag from all but one: wright model tag VERSION --remove BuildId"


class BuildMissing(ModelwrightError):
    """No build has registered a version of a model."""

    code = "build-missing"
    status = 404
    problem = 'no build has registered a version of model "{model}"'
    remedy = "wright ci train"


class ApprovalMissing(ModelwrightError):
    """A release needs somebody's word, and has none."""

    code = "approval-missing"
    status = 403
    problem = 'nobody has let "{version}" go on to "{stage}"'
    remedy = 'wright approve {version} --stage {stage} --why "TEXT"'


class ApprovalRefused(ModelwrightError):
    """Somebody has said that a version does not go on."""

    code = "approval-refused"
    status = 403
    problem = '{actor} has refused to let "{version}" go on to "{stage}": {why}'
    remedy = 'wright approve {version} --stage {stage} --why "TEXT" overrules that'


class SmokeTestFailed(ModelwrightError):
    """An endpoint does not answer as what was deployed to it should."""

    code = "smoke-test-failed"
    status = 422
    problem = '"{where}" does not pass its smoke test: {reason}'
    remedy = "wright ci rollback VERSION lets it serve what it served before"


class RollbackFailed(ModelwrightError):
    """Where a version is to be taken back from, what served before does not come back."""

    code = "rollback-failed"
    status = 500
    problem = '"{version}" is not taken back everywhere: {told}'
    remedy = "wright endpoint list"


class IngestionRefused(ModelwrightError):
    """Data that was brought in is not what it should be."""

    code = "ingestion-refused"
    status = 422
    problem = '"{dataset}" does not pass: {told}'
    remedy = "mend the data, or what [ingestion] in ci.toml asks of it"


class WorkflowUnknown(ModelwrightError):
    """A workflow file says what the local runner does not know; it leaves nothing out in silence."""

    code = "workflow-unknown"
    status = 422
    problem = '"{path}" cannot be run here: {reason}'
    remedy = "wright ci run runs the files that wright ci init writes; docs/ci.md says what else it knows"


class WorkflowFailed(ModelwrightError):
    """Jobs of a workflow that was run here have failed."""

    code = "workflow-failed"
    status = 422
    problem = 'in "{path}" {jobs} failed'
    remedy = "look at what was printed, and at {folder}"


class WorkflowWaits(ModelwrightError):
    """A workflow that was run here has come to where a person decides."""

    code = "workflow-waits"
    status = 409
    problem = '"{path}" waits for somebody to approve of "{name}"'
    remedy = "wright ci run {path} --approve {name}"
