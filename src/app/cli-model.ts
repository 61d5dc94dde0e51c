import type { Command } from 'commander';
import { asCount, gathered, withJson } from './cli-options.js';
import type { Run } from './cli-run.js';
import { importModel, type ModelImportFlags } from './commands/model-import.js';

/** Models of others' making. */
export function addModelCommands(program: Command, run: Run): void {
  const model = program.command('model').description('models, and how they come in');
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
