import type { Command } from 'commander';
import { asCount, DEFAULT_DATA_FOLDER, withJson } from './cli-options.js';
import type { CliOptions, Run } from './cli-run.js';
import { golden, type GoldenFlags } from './commands/golden.js';

/** The whole loop in one command. */
export function addGoldenCommand(program: Command, { table }: CliOptions, run: Run): void {
  withJson(program.command('golden'))
    .description(
      'from an empty folder to decisions that cite a model which was learned on the way; every hop with its proof',
    )
    .option('--profile <name>', 'local, dev, prod, or the path of a folder with wiring.yaml and policy/', 'local')
    .option(
      '--data <folder>',
      `a folder that is empty or not there yet (default: a new one below ${DEFAULT_DATA_FOLDER})`,
    )
    .option('--seed <number>', 'of the first world; the second has the next one', asCount(0, 1_000_000_000), 1)
    .option('--url <address>', 'a process that runs all roles; the way is walked through it, and --data is not needed')
    .option('--key-file <file>', 'file with the API key to use (default: the operator’s of the data folder)')
    .addHelpText(
      'after',
      `
A world is generated, streamed, decided and logged; a case is decided by a person; what became known is made a dataset whose every row
is compared with what was served; a bundle is trained, judged, published, approved and made active; a second world is decided by it.
All roles run in this process unless --url names another; the folder stays for whoever wants to look around. Where a world was streamed before\n(--url, or stores of your own by --profile) name another --seed: each is used once. A bundle that was learned from another world may be worse than the
shipped one; the gates say so then, and the way ends there.

Examples:
  probity golden
  probity golden --seed 7 --data /tmp/golden --json
  probity golden --url http://127.0.0.1:8080 --key-file .probity/keys/operator.key --seed 7

Exit codes: 0 every hop holds, 1 one does not, 2 wrong configuration.`,
    )
    .action((flags: GoldenFlags) => run(flags, (_, terminal) => golden(table, flags, terminal)));
}
