import type { Command } from 'commander';
import { asCount, doorway } from './cli-options.js';
import type { CliOptions, Run } from './cli-run.js';
import {
  addLabel,
  type LabelAddFlags,
  type LabelKnownFlags,
  type LabelListFlags,
  listLabels,
  showKnown,
} from './commands/label.js';
import { importLabels, type LabelImportFlags } from './commands/label-import.js';

const SEVERAL = 'RUN is a run id, or the equivalence key that the run was requested under.';

/** The commands about what became known of payments, and when. */
export function addLabelCommands(program: Command, { table, stdin = process.stdin }: CliOptions, run: Run): void {
  const label = program.command('label').description('what became known of payments, by whom, and when');

  doorway(label.command('import <file>'))
    .description('append labels from a file that somebody else made, such as chargebacks; - reads standard input')
    .requiredOption('--map <file>', 'how its rows are to be read, as YAML; see docs/labels.md')
    .option('--run <run>', 'the run that the payments belong to', 'live')
    .option('--namespace <name>', 'as which writer of the policy labels.store', 'chargebacks')
    .option(
      '--format <format>',
      'csv or ndjson (default: by the name of the file); packed with gzip where it ends in .gz',
    )
    .option('--delimiter <character>', 'csv: between two cells', ',')
    .option('--dry-run', 'send nothing: show the first rows as they would be, and every row that cannot be read')
    .option('--rows <number>', 'rows that --dry-run shows', asCount(0, 1_000), 5)
    .addHelpText(
      'after',
      `\nExamples:\n  probity label import chargebacks.csv --map mapping.yaml --dry-run\n  probity label import chargebacks.csv --map mapping.yaml\n\nThe same file again is safe: every row is a duplicate. ${SEVERAL}\n\nExit codes: 0 every row was accepted or known, 1 some were refused or something failed, 2 what was written is wrong.`,
    )
    .action((file: string, flags: LabelImportFlags) =>
      run(flags, (_, terminal) => importLabels(table, file, flags, terminal, stdin)),
    );

  targeted(doorway(label.command('add')))
    .description('append one label')
    .option('--transaction <id>', 'of the payment with this id of its producer')
    .option('--producer <name>', 'with --transaction: the edge that it came in by')
    .option('--run <run>', 'the run that it belongs to', 'live')
    .requiredOption('--type <type>', 'a type of the vocabulary, such as fraud_disposition')
    .requiredOption('--value <value>', 'what is said, such as FRAUD_CONFIRMED; WITHDRAWN takes a label back')
    .requiredOption('--handle <text>', 'what makes it the same label when it is sent again, such as a ticket number')
    .option('--namespace <name>', 'as which writer of the policy labels.store', 'analyst')
    .option('--effective <time>', 'when it happened, in RFC 3339 (default: the time of the payment)')
    .option('--supersedes <label>', 'id of the label that it takes the place of')
    .addHelpText(
      'after',
      `\nExamples:\n  probity label add --transaction t-1042 --type fraud_disposition --value FRAUD_CONFIRMED --handle case-7\n  probity label add --event 51d2… --type fraud_disposition --value WITHDRAWN --handle case-7-error --supersedes 9f0c…\n\n${SEVERAL}\n\nExit codes: 0 accepted or known, 1 refused or failed, 2 what was written is wrong.`,
    )
    .action((flags: LabelAddFlags) => run(flags, (_, terminal) => addLabel(table, flags, terminal)));

  targeted(doorway(label.command('list')))
    .description('all that was said, oldest first, also what was taken back')
    .option('--run <run>', 'of this run alone')
    .option('--type <type>', 'of this type alone')
    .option('--value <value>', 'of this value alone')
    .option('--namespace <name>', 'of this writer alone')
    .option('--limit <number>', 'at most so many', asCount(1, 500), 50)
    .option('--cursor <cursor>', 'go on after the page before')
    .addHelpText('after', `\nExamples:\n  probity label list --run live --value FRAUD_CONFIRMED\n\n${SEVERAL}`)
    .action((flags: LabelListFlags) => run(flags, (_, terminal) => listLabels(table, flags, terminal)));

  targeted(doorway(label.command('known')))
    .description('what was known of one thing as of a time; the answer never changes')
    .option('--run <run>', 'the run that it belongs to', 'live')
    .option('--type <type>', 'the type of label', 'fraud_disposition')
    .requiredOption('--as-of <time>', 'what was observed until then is known, in RFC 3339')
    .option('--effective <time>', 'what happened until then counts (default: --as-of)')
    .option('--rule <name>', 'what holds where labels differ: a rule of the policy labels.store (default: its own)')
    .addHelpText('after', `\nExamples:\n  probity label known --event 51d2… --as-of 2026-03-01T00:00:00Z\n\n${SEVERAL}`)
    .action((flags: LabelKnownFlags) => run(flags, (_, terminal) => showKnown(table, flags, terminal)));
}

const targeted = (command: Command): Command =>
  command
    .option('--event <id>', 'of this event')
    .option('--entity <type:id>', 'of this customer, card, device …: customer_id:c-17');
