import { type Command as CliCommand, Option } from 'commander';
import { type Command, PRIORITIES } from '../modules/case-workbench/case.schema.js';
import { asCount, doorway } from './cli-options.js';
import type { CliOptions, Run } from './cli-run.js';
import {
  type CaseDecideFlags,
  type CaseDoFlags,
  type CaseExportFlags,
  type CaseListFlags,
  type CaseOpenFlags,
  decideCases,
  doInCase,
  exportCases,
  listCases,
  openCase,
  showCase,
} from './commands/case.js';
import type { DoorFlags } from './flags.js';

const EXITS = 'Exit codes: 0 done, 1 refused or failed, 2 what was written is wrong.';
const SEVERAL = 'RUN is a run id, or the equivalence key that the run was requested under.';

/** The commands of people who look at cases. */
export function addCaseCommands(program: CliCommand, options: CliOptions, run: Run): void {
  const { table } = options;
  const cases = program.command('case').description('what people have to look at: cases, findings, timelines');

  doorway(cases.command('list'))
    .description('list cases, youngest first')
    .option('--status <status>', 'NEW, IN_PROGRESS, DISPOSITION_SET, RESOLVED or CLOSED alone')
    .option('--queue <queue>', 'of this queue alone')
    .option('--assignee <who>', 'of this person alone (HUMAN::…, or me), or none for those that nobody has')
    .option('--run <run>', 'of this run alone')
    .option('--limit <number>', 'at most so many', asCount(1, 200), 20)
    .option('--cursor <cursor>', 'go on after the page before')
    .addHelpText('after', `\nExamples:\n  probity case list --queue review --assignee none\n\n${SEVERAL}\n\n${EXITS}`)
    .action((flags: CaseListFlags) => run(flags, (_, terminal) => listCases(table, flags, terminal)));
  doorway(cases.command('show <case>'))
    .description('a case with all that happened in it')
    .addHelpText('after', `\nExamples:\n  probity case show 4be1…\n\n${EXITS}`)
    .action((id: string, flags: DoorFlags) => run(flags, (_, terminal) => showCase(table, id, flags, terminal)));
  doorway(cases.command('open'))
    .description('open the case of a payment, or add to the one that it has')
    .requiredOption('--event <id>', 'the event')
    .requiredOption('--reason <text>', 'why; it is recorded')
    .option('--run <run>', 'the run that it belongs to', 'live')
    .option('--key <text>', 'the same key again is the same trigger (default: one of its own)')
    .addHelpText(
      'after',
      `\nExamples:\n  probity case open --event 51d2… --reason "customer called"\n\n${SEVERAL}\n\n${EXITS}`,
    )
    .action((flags: CaseOpenFlags) => run(flags, (_, terminal) => openCase(table, flags, terminal)));

  doorway(cases.command('export'))
    .description('write cases with all that happened in them into a file; it is recorded who did, and what for')
    .requiredOption('--out <file>', 'the file; it must not be there yet')
    .requiredOption('--purpose <text>', 'what for; it is recorded')
    .addOption(
      new Option('--format <format>', 'ndjson: a case with its entries a line; csv: cases alone')
        .choices(['ndjson', 'csv'])
        .default('ndjson'),
    )
    .option('--status <status>', 'of this status alone')
    .option('--queue <queue>', 'of this queue alone')
    .option('--assignee <who>', 'of this person alone (HUMAN::…, or me), or none for those that nobody has')
    .option('--run <run>', 'of this run alone')
    .addHelpText(
      'after',
      `\nExamples:\n  probity case export --out cases.ndjson --purpose "yearly review"\n\n${SEVERAL}\n\n${EXITS}`,
    )
    .action((flags: CaseExportFlags) => run(flags, (_, terminal) => exportCases(table, flags, terminal)));

  addDeeds(cases, options, run);
}

function addDeeds(cases: CliCommand, { table }: CliOptions, run: Run): void {
  const deed = (name: string, description: string, example: string, subject = '<case>'): CliCommand =>
    doorway(cases.command(`${name} ${subject}`))
      .description(description)
      .option('--key <text>', 'the same key again is the same entry (default: one of its own)')
      .option('--seen <entry>', 'refuse where the case has gone on behind this entry', asCount(1, 1_000_000))
      .addHelpText('after', `\nExamples:\n  probity case ${name} 4be1…${example}\n\n${EXITS}`);
  const act =
    <Flags extends CaseDoFlags>(made: (flags: Flags) => Command) =>
    (id: string, flags: Flags): Promise<void> =>
      run(flags, (_, terminal) => doInCase(table, id, made(flags), flags, terminal));

  deed('assign', 'give it to somebody', ' --to HUMAN::ann')
    .requiredOption('--to <person>', 'HUMAN::…')
    .action(act(({ to }: CaseDoFlags & { readonly to: string }) => ({ type: 'ASSIGN', to })));
  deed('unassign', 'take it from whoever has it', '').action(act(() => ({ type: 'UNASSIGN' })));
  deed('priority', 'say how urgent it is', ' --to URGENT')
    .addOption(new Option('--to <priority>', 'how urgent').choices(PRIORITIES).makeOptionMandatory())
    .action(
      act(({ to }: CaseDoFlags & { readonly to: (typeof PRIORITIES)[number] }) => ({
        type: 'SET_PRIORITY',
        priority: to,
      })),
    );
  deed('note', 'write something down', ' --text "called the customer"')
    .requiredOption('--text <text>', 'the note')
    .action(act(({ text }: CaseDoFlags & { readonly text: string }) => ({ type: 'NOTE', text })));
  deed('escalate', 'move it to another queue', ' --queue fraud --reason "a ring"')
    .requiredOption('--queue <queue>', 'the queue')
    .requiredOption('--reason <text>', 'why; it is recorded')
    .action(
      act(({ queue, reason }: CaseDoFlags & { readonly queue: string; readonly reason: string }) => ({
        type: 'ESCALATE',
        queue,
        reason,
      })),
    );
  deed(
    'decide',
    'say what was found; the label store is told',
    ' --found FRAUD --reason "card was stolen"',
    '[cases...]',
  )
    .requiredOption('--found <disposition>', 'a disposition of the policy cases.workbench')
    .requiredOption('--reason <text>', 'why; it is recorded')
    .option('--file <path>', 'the cases, an id a line, up to 200 in all')
    .addHelpText(
      'after',
      '\nOf several cases each is judged by itself; one of which the finding is refused makes the exit code 1.',
    )
    .action((ids: readonly string[], flags: CaseDecideFlags) =>
      run(flags, (_, terminal) => decideCases(table, ids, flags, terminal)),
    );
  deed('act', 'have something done about the payment', ' --action NOTIFY --reason "the customer is to be called"')
    .requiredOption('--action <action>', 'an action of the policy cases.workbench')
    .requiredOption('--reason <text>', 'why; it is recorded')
    .action(
      act(({ action, reason }: CaseDoFlags & { readonly action: string; readonly reason: string }) => ({
        type: 'ASK_ACTION',
        action,
        reason,
      })),
    );
  for (const [name, type, what] of [
    ['close', 'CLOSE', 'end it'],
    ['reopen', 'REOPEN', 'take a closed one up again'],
  ] as const)
    deed(name, what, ' --reason "all done"')
      .requiredOption('--reason <text>', 'why; it is recorded')
      .action(act(({ reason }: CaseDoFlags & { readonly reason: string }) => ({ type, reason })));
}
