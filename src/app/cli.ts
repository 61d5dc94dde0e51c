import { Command, CommanderError } from 'commander';
import { checkConfig } from './commands/check-config.js';
import { doctor } from './commands/doctor.js';
import { migrate } from './commands/migrate.js';
import { listRoles } from './commands/roles.js';
import { scanSecrets } from './commands/secrets-scan.js';
import { serve } from './commands/serve.js';
import { addArchiveCommands } from './cli-archive.js';
import { addAuditCommands } from './cli-audit.js';
import { addCaseCommands } from './cli-case.js';
import { addDatasetCommands } from './cli-dataset.js';
import { addDecisionCommands } from './cli-decision.js';
import { addDoorCommands } from './cli-door.js';
import { addGoldenCommand } from './cli-golden.js';
import { addJobCommands } from './cli-job.js';
import { addLabelCommands } from './cli-label.js';
import { addModelCommands } from './cli-model.js';
import { asPort, profiled, withJson } from './cli-options.js';
import { addPolicyCommands } from './cli-policy.js';
import { addRegistryCommands } from './cli-registry.js';
import type { CliOptions, Run } from './cli-run.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import type { ProfileFlags, ServeFlags } from './flags.js';
import { openTerminal } from './terminal.js';
import { VERSION } from './version.js';

/** Parses the words, runs the command, returns the exit code. Nothing here ends the process. */
export async function runCli(words: readonly string[], options: CliOptions): Promise<ExitCode> {
  let outcome: ExitCode = EXIT.OK;
  const run: Run = async (flags, command) => {
    const terminal = openTerminal(options, 'json' in flags && flags.json === true);
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
    // What stands behind a command's name is for that command, also where the one above it understands the word, too.
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ writeOut: (text) => options.stdout.write(text), writeErr: (text) => options.stderr.write(text) })
    .showSuggestionAfterError(true)
    .showHelpAfterError('(add --help for what this command understands)');

  addPlatformCommands(program, options, run);
  addDoorCommands(program, options, run);
  const verify = addDecisionCommands(program, options, run);
  addAuditCommands(program, verify, options, run);
  addArchiveCommands(program, options, run);
  addJobCommands(program, options, run);
  addLabelCommands(program, options, run);
  addCaseCommands(program, options, run);
  addPolicyCommands(program, options, run);
  addRegistryCommands(program, options, run);
  addDatasetCommands(program, options, run);
  addModelCommands(program, options, run);
  addGoldenCommand(program, options, run);

  try {
    await program.parseAsync([...words], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? EXIT.OK : EXIT.USAGE;
  }
  return outcome;
}

function addPlatformCommands(program: Command, options: CliOptions, run: Run): void {
  const { table } = options;
  withJson(profiled(program.command('serve', { isDefault: true })))
    .description('run the named roles in this process until it is told to stop (the default command)')
    .option('--role <roles>', 'all, or a comma-separated list; see `probity roles`', 'all')
    .option('--port <number>', 'HTTP port; 0 takes any free one (default: as the profile says)', asPort)
    .option('--no-demo', 'put nothing into an empty data folder: no open-ended run, no small world')
    .option('--once', 'show the small world, say whether all was reconciled, and end')
    .addHelpText(
      'after',
      `
On an empty data folder the first start requests the open-ended run "live", generates a small world, streams it through
the gate and prints what was counted; then it stays up. Later starts only see to it that "live" is there. With --json
nothing of that happens unless --once asks for it.

Examples:
  probity
  probity serve --once
  probity serve --role all --port 0 --data /var/lib/probity

Exit codes: 0 stopped in order (with --once: and all was reconciled), 1 failed, 2 wrong configuration, 3 stop ran out of time.`,
    )
    .action((flags: ServeFlags) => run(flags, (_, terminal) => serve(table, flags, terminal, options.stderr)));

  withJson(program.command('roles'))
    .description('list the roles that this program can run, and why each exists')
    .action((flags: object) => run(flags, (_, terminal) => listRoles(table, terminal)));

  withJson(profiled(program.command('check-config')))
    .description('check a profile and its policies without starting anything; every fault with file and line')
    .action((flags: ProfileFlags) => run(flags, (_, terminal) => checkConfig(table, flags, terminal)));

  withJson(profiled(program.command('migrate')))
    .description('bring the database schemas up to date; safe to run from several places at once')
    .option('--check', 'change nothing; exit 1 when the database is behind or ahead of this program')
    .action((flags: ProfileFlags & { readonly check?: boolean }) =>
      run(flags, (_, terminal) => migrate(table, flags, terminal)),
    );

  withJson(profiled(program.command('doctor')))
    .description('check Node, data folder, database, bus, objects and clock, and say what to do')
    .action((flags: ProfileFlags) => run(flags, (_, terminal) => doctor(table, flags, terminal)));

  const secrets = program.command('secrets').description('secrets, which are cited by name alone');
  withJson(profiled(secrets.command('scan')))
    .description(
      'look for every secret of the installation in all that it keeps: objects, tables, topics, logs, profile',
    )
    .addHelpText(
      'after',
      `
Says which secret stands where, never what it is. Needs the credentials of the stores, as serve does; changes nothing.

Exit codes: 0 none was found, 1 some were, 2 wrong configuration.`,
    )
    .action((flags: ProfileFlags) => run(flags, (_, terminal) => scanSecrets(table, flags, terminal)));
}
