import { type Command, Option } from 'commander';
import { asCount, doorway, gathered, withJson } from './cli-options.js';
import type { CliOptions, Run } from './cli-run.js';
import { importModel, type ModelImportFlags } from './commands/model-import.js';
import {
  cancelModel,
  exportModel,
  listModels,
  type ModelExportFlags,
  type ModelListFlags,
  type ModelReportFlags,
  type ModelTrainFlags,
  reportModel,
  showModel,
  trainModel,
} from './commands/model.js';
import type { DoorFlags } from './flags.js';

const EXITS = 'Exit codes: 0 passed, 1 not passed, refused or failed, 2 what was written is wrong.';

/** Models: made of datasets and judged, or of others' making. */
export function addModelCommands(program: Command, options: CliOptions, run: Run): void {
  const model = program.command('model').description('models: made of datasets, judged, or brought in');
  addTrainingCommands(model, options, run);
  withJson(model.command('import <file>'))
    .description('make a bundle of an ONNX file, for the registry')
    .requiredOption('--bundle-id <id>', 'name of the bundle')
    .option('--bundle-version <number>', 'of that name', asCount(1, 1_000_000), 1)
    .requiredOption(
      '--inputs <names>',
      'what each column of a row is, in order: event.<field>, features.<feature> or graph.<value>, with commas between',
    )
    .option(
      '--group <name@version>',
      'a feature group that it was trained on; may be given several times',
      gathered,
      [],
    )
    .option('--missing <value>', 'what is fed for a value that is not there: NaN or a number', 'NaN')
    .option('--input-tensor <name>', 'the input of the graph', 'float_input')
    .option('--output-tensor <name>', 'the output with the probability', 'probabilities')
    .option('--output-column <number>', 'its column (default: the last one)', asCount(0, 999))
    .requiredOption('--trained-on <words>', 'what it was trained on, for whoever asks later')
    .requiredOption('--dataset-digest <sha256>', 'of the data that it was trained on')
    .requiredOption('--out <file>', 'the bundle to write (JSON); it must not be there')
    .addHelpText(
      'after',
      `
Examples:
  probity model import fraud.onnx --bundle-id fraud --inputs event.amount_minor,features.card_count_1h \\
    --group core_card@1 --trained-on 'payments of May' --dataset-digest 9c41… --out fraud.json
  probity registry publish fraud.json --reason 'trained by the bureau'

It needs the optional package onnxruntime-node: npm install --no-save onnxruntime-node --onnxruntime-node-install=skip

Exit codes: 0 written, 1 the model cannot be used, 2 what was written is wrong.`,
    )
    .action((file: string, flags: ModelImportFlags) => run(flags, (_, terminal) => importModel(file, flags, terminal)));
}

function addTrainingCommands(model: Command, { table }: CliOptions, run: Run): void {
  doorway(model.command('train'))
    .description('make a bundle of datasets, judge it, and put it before the registry where it passes')
    .requiredOption(
      '--dataset <ids>',
      'one dataset with splits, or two with a comma: the first is learnt from, the second judged on',
    )
    .option('--recipe <file>', 'how it is made (JSON), or default', 'default')
    .option('--bundle <id@version>', 'what it is called (default: as the recipe says)')
    .option('--evaluate <file>', 'judge this bundle (JSON) in place of making one, such as an imported ONNX model')
    .option('--slot <slot>', 'whose active bundle it is compared with', 'primary')
    .option('--no-publish', 'judge it, and keep it out of the registry')
    .option('--request-id <text>', 'the same again is the same run (default: one of its own)')
    .option('--wait', 'wait for the end (it does unless told otherwise)', true)
    .option('--no-wait', 'ask, and do not wait for the end')
    .addHelpText(
      'after',
      `\nExamples:\n  probity model train --dataset 7c41…,9e02… --bundle fraud@3\n  probity model train --dataset 7c41… --evaluate fraud-onnx.json --no-publish\n\n${EXITS}`,
    )
    .action((flags: ModelTrainFlags) => run(flags, (_, terminal) => trainModel(table, flags, terminal)));

  doorway(model.command('show <run>'))
    .description('where a run stands, what its gates said, and what to do next')
    .addHelpText('after', `\nExamples:\n  probity model show 5b90…\n\n${EXITS}`)
    .action((id: string, flags: DoorFlags) => run(flags, (_, terminal) => showModel(table, id, flags, terminal)));

  doorway(model.command('list'))
    .description('runs, youngest first')
    .option('--limit <number>', 'at most so many', asCount(1, 200), 20)
    .option('--cursor <cursor>', 'go on after the page before')
    .addHelpText('after', `\nExamples:\n  probity model list\n\n${EXITS}`)
    .action((flags: ModelListFlags) => run(flags, (_, terminal) => listModels(table, flags, terminal)));

  doorway(model.command('report <run>'))
    .description('write the evaluation into a file')
    .requiredOption('--to <file>', 'report.html is a page for a browser, report.json the same for machines')
    .addHelpText('after', `\nExamples:\n  probity model report 5b90… --to report.html\n\n${EXITS}`)
    .action((id: string, flags: ModelReportFlags) =>
      run(flags, (_, terminal) => reportModel(table, id, flags, terminal)),
    );

  doorway(model.command('export <run>'))
    .description('write the bundle of a run into a file')
    .requiredOption('--to <file>', 'fraud.json is a bundle, fraud.onnx a model that other programs run')
    .addOption(
      new Option('--precision <what>', 'of the numbers that an ONNX file takes: double is exact, single what most feed')
        .choices(['double', 'single'])
        .default('double'),
    )
    .addHelpText('after', `\nExamples:\n  probity model export 5b90… --to fraud.onnx\n\n${EXITS}`)
    .action((id: string, flags: ModelExportFlags) =>
      run(flags, (_, terminal) => exportModel(table, id, flags, terminal)),
    );

  doorway(model.command('cancel <run>'))
    .description('end a run that nobody wants any more')
    .addHelpText('after', `\nExamples:\n  probity model cancel 5b90…\n\n${EXITS}`)
    .action((id: string, flags: DoorFlags) => run(flags, (_, terminal) => cancelModel(table, id, flags, terminal)));
}
