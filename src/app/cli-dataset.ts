import { type Command, Option } from 'commander';
import { asCount, doorway } from './cli-options.js';
import type { CliOptions, Run } from './cli-run.js';
import {
  buildDataset,
  type DatasetBuildFlags,
  type DatasetExportFlags,
  type DatasetListFlags,
  exportDataset,
  listDatasets,
  showDataset,
} from './commands/dataset.js';
import type { DoorFlags } from './flags.js';

const EXITS = 'Exit codes: 0 done, 1 not published or failed, 2 what was written is wrong.';
const SEVERAL = 'RUN is a run id, or the equivalence key that the run was requested under.';

/** The commands about datasets that are rebuilt from the log. */
export function addDatasetCommands(program: Command, { table }: CliOptions, run: Run): void {
  const dataset = program.command('dataset').description('features as they were served, with labels, as files');

  doorway(dataset.command('build'))
    .description('rebuild the features of a run from the log, prove them, and publish them with their labels')
    .requiredOption('--run <run>', 'the run')
    .option('--parity', 'no dataset: prove of every decision that what is rebuilt is what was served')
    .option('--label <type>', 'with labels of this type, such as fraud_disposition')
    .option('--as-of <time>', 'with --label: what was observed until then is known')
    .option('--rule <name>', 'what holds where labels differ (default: that of the policy labels.store)')
    .option('--maturity-days <number>', 'so many days without a label are legitimate', asCount(0, 3_650))
    .option('--groups <names>', 'these groups of features, by comma (default: all of payments)')
    .option('--from <time>', 'payments from then on')
    .option('--to <time>', 'payments before then')
    .option('--train <from..to>', 'the range of the split train')
    .option('--validation <from..to>', 'the range of the split validation')
    .option('--test <from..to>', 'the range of the split test')
    .option('--others-one-in <number>', 'keep every fraud, and one of so many others', asCount(1, 1_000_000))
    .option('--seed <text>', 'of the sample', '0')
    .addOption(
      new Option('--anchor <what>', 'decision: at the basis of each decision; event: strictly before the event')
        .choices(['auto', 'decision', 'event'])
        .default('auto'),
    )
    .option('--appended-until <time>', 'what stood on the bus then (default: what stands there now)')
    .addOption(
      new Option('--source <where>', 'from where the log is read; auto: from the archive what the bus no longer has')
        .choices(['auto', 'bus', 'archive'])
        .default('auto'),
    )
    .option('--request-id <text>', 'the same again is the same build (default: one of its own)')
    .option('--no-wait', 'ask, and do not wait for the end')
    .addHelpText(
      'after',
      `\nExamples:\n  probity dataset build --run live --parity\n  probity dataset build --run live --label fraud_disposition --as-of 2026-03-01 --maturity-days 60 --train 2026-01-01..2026-02-01 --test 2026-02-08..2026-02-15\n\n${SEVERAL}\n\n${EXITS}`,
    )
    .action((flags: DatasetBuildFlags) => run(flags, (_, terminal) => buildDataset(table, flags, terminal)));

  doorway(dataset.command('show <dataset>'))
    .description('where a build stands; of a dataset the manifest, after its files were verified')
    .addHelpText('after', `\nExamples:\n  probity dataset show 7c41…\n\n${EXITS}`)
    .action((id: string, flags: DoorFlags) => run(flags, (_, terminal) => showDataset(table, id, flags, terminal)));

  doorway(dataset.command('list'))
    .description('datasets and builds, youngest first')
    .option('--run <run>', 'of this run alone')
    .option('--limit <number>', 'at most so many', asCount(1, 200), 20)
    .option('--cursor <cursor>', 'go on after the page before')
    .addHelpText('after', `\nExamples:\n  probity dataset list --run live\n\n${SEVERAL}\n\n${EXITS}`)
    .action((flags: DatasetListFlags) => run(flags, (_, terminal) => listDatasets(table, flags, terminal)));

  doorway(dataset.command('export <dataset>'))
    .description('write the files of a dataset with manifest and receipt into a folder, verified')
    .requiredOption('--to <folder>', 'a folder that is empty or is not there')
    .addHelpText('after', `\nExamples:\n  probity dataset export 7c41… --to ./dataset\n\n${EXITS}`)
    .action((id: string, flags: DatasetExportFlags) =>
      run(flags, (_, terminal) => exportDataset(table, id, flags, terminal)),
    );
}
