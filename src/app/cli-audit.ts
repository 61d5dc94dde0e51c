import type { Command } from 'commander';
import { asCount, doorway, withJson } from './cli-options.js';
import type { CliOptions, Run } from './cli-run.js';
import { type ChangesFlags, listChanges } from './commands/changes.js';
import { type ExportFlags, exportAudit, makeAuditKey, verifyAudit, type VerifyAuditFlags } from './commands/audit.js';

/** The commands about the signed log: out of the platform, and checked without it. */
export function addAuditCommands(program: Command, verify: Command, { table }: CliOptions, run: Run): void {
  const audit = program.command('audit').description('the signed log of everything that was admitted and decided');
  doorway(audit.command('export'))
    .description('write the log as a folder that tools for transparency logs (C2SP tlog-tiles) can check')
    .requiredOption('--to <folder>', 'an empty folder, or one that is made')
    .action((flags: ExportFlags) => run(flags, (_, terminal) => exportAudit(table, flags, terminal)));
  withJson(audit.command('key'))
    .description('make a key that signs a log, for audit.signing_key of the wiring')
    .requiredOption('--name <name>', 'the name of the log, without spaces: bank.example/audit')
    .requiredOption('--to <file>', 'where the signing key is written; it must not exist')
    .action((flags: { readonly name: string; readonly to: string }) =>
      run(flags, (_, terminal) => makeAuditKey(flags.name, flags.to, terminal)),
    );

  doorway(program.command('changes'))
    .description(
      'every change of what decisions stand on: policies, operations, datasets, trainings, bundles, and postures',
    )
    .option('--from <time>', 'not before this time, in RFC 3339')
    .option('--to <time>', 'before this time')
    .option('--limit <number>', 'at most so many, youngest first', asCount(1, 10_000), 100)
    .addHelpText(
      'after',
      '\nExamples:\n  probity changes\n  probity changes --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z --json\n\nExit codes: 0 done, 1 failed, 2 what was written is wrong, 3 a stop ran out of time.',
    )
    .action((flags: ChangesFlags) => run(flags, (_, terminal) => listChanges(table, flags, terminal)));

  doorway(verify.command('audit'))
    .description('check the signed log: signatures, the tree from its leaves up, and every leaf against the bus')
    .option('--dir <folder>', 'an export, checked by itself without any running process')
    .option('--public-key <file>', 'with --dir: whose signature is believed')
    .option('--checkpoint <file>', 'with --dir: a checkpoint that was kept earlier, which the log must still contain')
    .addHelpText(
      'after',
      '\nExamples:\n  probity verify audit\n  probity verify audit --dir export --public-key log.pub --checkpoint kept-in-june\n\nExit codes: 0 all holds, 1 something does not, and the first is named, 2 what was written is wrong.',
    )
    .action((flags: VerifyAuditFlags) => run(flags, (_, terminal) => verifyAudit(table, flags, terminal)));
}
