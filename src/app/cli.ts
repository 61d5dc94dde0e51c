import type { Writable } from 'node:stream';
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { checkConfig } from './commands/check-config.js';
import { doctor } from './commands/doctor.js';
import { migrate } from './commands/migrate.js';
import { sealPolicyFile } from './commands/policy-seal.js';
import { listRoles } from './commands/roles.js';
import { serve } from './commands/serve.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import type { ProfileFlags, ServeFlags } from './flags.js';
import { openTerminal, type Terminal } from './terminal.js';
import type { UnitTable } from './unit-table.js';
import { VERSION } from './version.js';

export interface CliOptions {
  readonly table: UnitTable;
  readonly stdout: Writable;
  readonly stderr: Writable;
}

export const DEFAULT_DATA_FOLDER = '.probity';

/** Parses the words, runs the command, returns the exit code. Nothing here ends the process. */
export async function runCli(words: readonly string[], options: CliOptions): Promise<ExitCode> {
  let outcome: ExitCode = EXIT.OK;
  const run =
    <Flags extends object>(command: (flags: Flags, terminal: Terminal) => Promise<ExitCode> | ExitCode) =>
    async (flags: Flags & { readonly json?: boolean }): Promise<void> => {
      const terminal = openTerminal(options, flags.json === true);
      try {
        outcome = await command(flags, terminal);
      } catch (error) {
        outcome = terminal.failure(error);
      }
    };

  const program = new Command('probity')
    .description('Probity: fraud decisions in real time, each of which can be proven.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .exitOverride()
    .configureOutput({ writeOut: (text) => options.stdout.write(text), writeErr: (text) => options.stderr.write(text) })
    .showSuggestionAfterError(true)
    .showHelpAfterError('(add --help for what this command understands)');

  const profiled = (command: Command): Command =>
    command
      .option('--profile <name>', 'local, dev, prod, or the path of a folder with wiring.yaml and policy/', 'local')
      .option('--data <folder>', 'where this machine keeps database, objects and keys', DEFAULT_DATA_FOLDER);
  const withJson = (command: Command): Command =>
    command.option('--json', 'answer with one JSON document, for machines');

  withJson(profiled(program.command('serve', { isDefault: true })))
    .description('run the named roles in this process until it is told to stop (the default command)')
    .option('--role <roles>', 'all, or a comma-separated list; see `probity roles`', 'all')
    .option('--port <number>', 'HTTP port; 0 takes any free one (default: as the profile says)', asPort)
    .addHelpText(
      'after',
      '\nExamples:\n  probity\n  probity serve --role all --port 0 --data /var/lib/probity\n\nExit codes: 0 stopped in order, 1 failed, 2 wrong configuration, 3 stop ran out of time.',
    )
    .action(run((flags: ServeFlags, terminal) => serve(options.table, flags, terminal, options.stderr)));

  withJson(program.command('roles'))
    .description('list the roles that this program can run, and why each exists')
    .action(run((_flags: object, terminal) => listRoles(options.table, terminal)));

  withJson(profiled(program.command('check-config')))
    .description('check a profile and its policies without starting anything; every fault with file and line')
    .action(run((flags: ProfileFlags, terminal) => checkConfig(options.table, flags, terminal)));

  withJson(profiled(program.command('migrate')))
    .description('bring the database schemas up to date; safe to run from several places at once')
    .option('--check', 'change nothing; exit 1 when the database is behind or ahead of this program')
    .action(
      run((flags: ProfileFlags & { readonly check?: boolean }, terminal) => migrate(options.table, flags, terminal)),
    );

  withJson(profiled(program.command('doctor')))
    .description('check Node, data folder, database, bus, objects and clock, and say what to do')
    .action(run((flags: ProfileFlags, terminal) => doctor(options.table, flags, terminal)));

  const policy = program.command('policy').description('work with policy artifacts');
  withJson(policy.command('seal <file>'))
    .description('take the digest of a policy file; raises its revision when the content has changed')
    .action(async (file: string, flags: { readonly json?: boolean }) => {
      await run((_flags: object, terminal) => sealPolicyFile(file, terminal))(flags);
    });

  try {
    await program.parseAsync([...words], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? EXIT.OK : EXIT.USAGE;
  }
  return outcome;
}

function asPort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new InvalidArgumentError('a port is a whole number from 0 to 65535');
}
