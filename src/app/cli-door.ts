import { type Command, Option } from 'commander';
import { asCount, doorway, gathered } from './cli-options.js';
import type { CliOptions, Run } from './cli-run.js';
import { importFile } from './commands/import.js';
import { ingest } from './commands/ingest.js';
import {
  listQuarantine,
  type QuarantineListFlags,
  releaseQuarantined,
  showQuarantined,
} from './commands/quarantine.js';
import { type ReceiptFlags, showReceipt } from './commands/receipt.js';
import { EXTENTS, type ReconcileFlags, reconcileRun } from './commands/reconcile.js';
import { listRuns, runStatus, showRun, startRun } from './commands/run.js';
import { type StreamCommandFlags, streamRun } from './commands/stream.js';
import { generateWorld, listPacks } from './commands/world.js';
import type { DoorFlags, GenerateFlags, ImportFlags, IngestFlags, RunStartFlags } from './flags.js';

const EXITS = 'Exit codes: 0 done, 1 failed, 2 what was written is wrong, 3 a stop ran out of time.';
const EXITS_RECONCILED =
  'Exit codes: 0 all is reconciled, 1 it is not or something failed, 2 what was written is wrong, 3 a stop ran out of time.';

const PACE = 'fast (as fast as accepted), realtime, or a factor of the world’s time such as 60x';

const SEVERAL = 'RUN is a run id, or the equivalence key that the run was requested under.';

const help = (examples: readonly string[], exits: string, more = ''): string =>
  `${more === '' ? '' : `\n${more}\n`}\nExamples:\n${examples.map((line) => `  ${line}`).join('\n')}\n\n${exits}`;

/** The commands by which transactions enter, are followed and counted. Each works wherever the roles run. */
export function addDoorCommands(program: Command, options: CliOptions, run: Run): void {
  addWorldCommands(program, options, run);
  addRunCommands(program, options, run);
  addEventCommands(program, options, run);
}

function addWorldCommands(program: Command, { table, stdin = process.stdin }: CliOptions, run: Run): void {
  doorway(program.command('import <file>'))
    .description('import your own transactions: upload, seal, stream through the gate, count; - reads standard input')
    .option('--preset <name>', 'a known layout: handbook, sparkov; see `probity world packs`')
    .option('--map <file>', 'how your columns are to be read, as YAML; see docs/import.md')
    .option('--name <name>', 'name of the scenario (default: the preset, else "import")')
    .option('--dry-run', 'seal nothing: show the first rows as they would be, and every problem by reason')
    .option('--rows <number>', 'rows that --dry-run shows', asCount(0, 1_000), 5)
    .option('--no-stream', 'stop once the world is sealed and its run READY')
    .option('--pace <pace>', PACE)
    .option('--supersede <reason>', 'where the run of this file has failed: begin another one that takes its place')
    .addHelpText(
      'after',
      help(
        [
          'probity import payments.csv --map mapping.yaml --dry-run',
          'probity import payments.csv --map mapping.yaml',
          'zcat old.csv.gz | probity import - --preset handbook',
        ],
        EXITS_RECONCILED,
        'The same file with the same mapping is the same world and the same run: after an interruption give the same command\nagain. Once it has been streamed, giving it again streams it again, and every row must be a duplicate.',
      ),
    )
    .action((file: string, flags: ImportFlags) =>
      run(flags, (_, terminal) => importFile(table, file, flags, terminal, stdin)),
    );

  const world = program.command('world').description('generated worlds');
  doorway(world.command('generate'))
    .description('generate a world of payments and fraud from a seed, stream it through the gate, count')
    .option('--pack <name>', 'a parameter pack by name, or a YAML file; see `probity world packs`', 'small')
    .option('--seed <number>', 'the same seed and pack, the same world', '1')
    .option('--set <name=value>', 'change a value of the pack; may be given several times', gathered, [])
    .option('--name <name>', 'name of the scenario (default: the pack)')
    .option('--no-stream', 'stop once the world is sealed and its run READY')
    .option('--pace <pace>', PACE)
    .option('--supersede <reason>', 'where the run of this world has failed: begin another one that takes its place')
    .addHelpText(
      'after',
      help(['probity world generate', 'probity world generate --pack medium --seed 7 --pace 3600x'], EXITS_RECONCILED),
    )
    .action((flags: GenerateFlags) => run(flags, (_, terminal) => generateWorld(table, flags, terminal)));
  doorway(world.command('packs'))
    .description('list the parameter packs, and the presets of probity import')
    .addHelpText('after', help(['probity world packs', 'probity world packs --json'], EXITS))
    .action((flags: DoorFlags) => run(flags, (_, terminal) => listPacks(table, flags, terminal)));
}

function addRunCommands(program: Command, { table }: CliOptions, run: Run): void {
  const runs = program.command('run').description('runs: request, list, follow');
  doorway(runs.command('start'))
    .description('request a run; the same key always means the same run')
    .option('--live <name>', 'an open-ended run into which producers push transactions')
    .option('--world <file>', 'any other run: its world as YAML or JSON, {kind: import | generate, …}')
    .option('--equivalence-key <key>', 'the key of the run (default with --live: its name)')
    .option('--strategy <strategy>', 'AUTO, FORCE_INVOKE or FORCE_REUSE', 'AUTO')
    .addHelpText('after', help(['probity run start --live live'], EXITS))
    .action((flags: RunStartFlags) => run(flags, (_, terminal) => startRun(table, flags, terminal)));
  doorway(runs.command('list'))
    .description('list the runs, youngest first')
    .option('--limit <number>', 'at most so many', asCount(1, 200), 20)
    .option('--state <state>', 'those in this state alone')
    .addHelpText('after', help(['probity run list --state FAILED'], EXITS))
    .action((flags: DoorFlags & { readonly limit: number; readonly state?: string }) =>
      run(flags, (_, terminal) => listRuns(table, flags, terminal)),
    );
  doorway(runs.command('show <run>'))
    .description('all that is known of a run: status, what it stands on, what happened to it')
    .addHelpText('after', help(['probity run show live'], EXITS, SEVERAL))
    .action((name: string, flags: DoorFlags) => run(flags, (_, terminal) => showRun(table, name, flags, terminal)));
  doorway(runs.command('status <run>'))
    .description('the state of a run; exit 1 where it has failed')
    .option('--wait', 'until it is READY or has failed')
    .addHelpText('after', help(['probity run status live --wait'], EXITS, SEVERAL))
    .action((name: string, flags: DoorFlags & { readonly wait?: boolean }) =>
      run(flags, (_, terminal) => runStatus(table, name, flags, terminal)),
    );

  doorway(program.command('stream <run>'))
    .description('stream the sealed traffic of a run through the gate, or say how far it is')
    .option('--pace <pace>', PACE)
    .option('--again', 'once it has ended, stream it again from the start: every row must be a duplicate')
    .option('--pause', 'pause it; without it a paused stream goes on')
    .option('--wait', 'until it has ended; where nobody else runs the producer, it runs no longer than this command')
    .addHelpText('after', help(['probity stream live-2018 --wait', 'probity stream live-2018 --pause'], EXITS, SEVERAL))
    .action((name: string, flags: StreamCommandFlags) =>
      run(flags, (_, terminal) => streamRun(table, name, flags, terminal)),
    );

  doorway(program.command('reconcile'))
    .description('was every row counted from the source to its outcome and its leaf? Offending ids are listed')
    .requiredOption('--run <run>', 'run id or equivalence key')
    .addOption(
      new Option(
        '--to <extent>',
        'how far to follow: to the bus, to the outcomes of actions, to the leaves of the audit log, to the labels as well',
      )
        .choices(EXTENTS)
        .default('leaf'),
    )
    .addHelpText(
      'after',
      help(
        [
          'probity reconcile --run live',
          'probity reconcile --run live --to label',
          'probity reconcile --run live --to bus --json',
        ],
        EXITS_RECONCILED,
        'Which events are to be decided is read from the profile.',
      ),
    )
    .action((flags: ReconcileFlags) => run(flags, (_, terminal) => reconcileRun(table, flags, terminal)));
}

function addEventCommands(program: Command, { table, stdin = process.stdin }: CliOptions, run: Run): void {
  doorway(program.command('ingest'))
    .description('send transactions from standard input, one JSON object per line')
    .option('--envelopes', 'the lines are events in the platform’s own envelope, with their pins')
    .option('--run <key>', 'open-ended run to see to before anything is sent (default without --envelopes: live)')
    .addHelpText(
      'after',
      help(
        ['probity ingest < transactions.ndjson', 'tail -f payments.log | probity ingest --json'],
        'Exit codes: 0 every line was admitted or a duplicate, 1 some were refused or something failed, 2 what was written is wrong.',
        'The run that plain transactions enter is named by the policy of the edges. Sending the same lines again is safe.',
      ),
    )
    .action((flags: IngestFlags) => run(flags, (_, terminal) => ingest(table, flags, terminal, stdin)));

  doorway(program.command('receipt [id]'))
    .description('what became of a submission, by its receipt, or of an event, by its id')
    .option('--event <id>', 'the id of an event instead')
    .option('--run <run>', 'of that event in this run alone')
    .addHelpText('after', help(['probity receipt 8c0f…', 'probity receipt --event 51d2… --run live'], EXITS))
    .action((id: string | undefined, flags: ReceiptFlags) =>
      run(flags, (_, terminal) => showReceipt(table, id, flags, terminal)),
    );

  const quarantine = program.command('quarantine').description('events that were refused, and why');
  doorway(quarantine.command('list'))
    .description('list quarantined events, youngest first')
    .option('--limit <number>', 'at most so many', asCount(1, 200), 20)
    .option('--cursor <cursor>', 'go on after the page before')
    .option('--run <run>', 'of this run alone')
    .option('--reason <reason>', 'with this reason alone: SCHEMA_FAIL, PAYLOAD_HASH_MISMATCH …')
    .option('--producer <name>', 'of this producer alone')
    .addHelpText('after', help(['probity quarantine list --run live --reason SCHEMA_FAIL'], EXITS))
    .action((flags: QuarantineListFlags) => run(flags, (_, terminal) => listQuarantine(table, flags, terminal)));
  doorway(quarantine.command('show <id>'))
    .description('one quarantined event')
    .option('--evidence <purpose>', 'show what was sent, too; that you read it, and what for, is recorded')
    .addHelpText('after', help(['probity quarantine show 4be1… --evidence "ticket 812"'], EXITS))
    .action((id: string, flags: DoorFlags & { readonly evidence?: string }) =>
      run(flags, (_, terminal) => showQuarantined(table, id, flags, terminal)),
    );
  doorway(quarantine.command('release <id>'))
    .description(
      'let a quarantined event in by the same door, as it was or corrected; exit 1 where it is refused again',
    )
    .requiredOption('--reason <text>', 'why; it is recorded')
    .option('--correction <file>', 'the corrected envelope as JSON')
    .addHelpText('after', help(['probity quarantine release 4be1… --reason "run is ready now"'], EXITS))
    .action((id: string, flags: DoorFlags & { readonly reason: string; readonly correction?: string }) =>
      run(flags, (_, terminal) => releaseQuarantined(table, id, flags, terminal)),
    );
}
