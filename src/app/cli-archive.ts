import type { Command } from 'commander';
import { asCount, doorway } from './cli-options.js';
import type { CliOptions, Run } from './cli-run.js';
import { archiveStatus, type ArchiveVerifyFlags, verifyArchive } from './commands/archive.js';
import type { DoorFlags } from './flags.js';

/** The commands about what is kept of the topics in objects. */
export function addArchiveCommands(program: Command, { table }: CliOptions, run: Run): void {
  const archive = program.command('archive').description('what was admitted, in objects that never change');

  doorway(archive.command('status'))
    .description('what is archived of each partition, and how far that is behind the bus')
    .addHelpText('after', '\nExamples:\n  probity archive status\n\nExit codes: 0 done, 1 failed.')
    .action((flags: DoorFlags) => run(flags, (_, terminal) => archiveStatus(table, flags, terminal)));

  doorway(archive.command('verify'))
    .description('read the archive again: every byte, every count, no offset missing')
    .option('--topic <topic>', 'of this topic alone')
    .option('--partition <number>', 'of this partition alone', asCount(0, 2 ** 31 - 1))
    .option('--from <offset>', 'with --topic and --partition: from this offset on')
    .option('--to <offset>', 'with --topic and --partition: before this offset')
    .addHelpText(
      'after',
      '\nExamples:\n  probity archive verify\n  probity archive verify --topic fp.bus.traffic.v1 --partition 0 --from 0 --to 20000\n\nExit codes: 0 complete, 1 something is missing or was changed, and it is named, 2 what was written is wrong.',
    )
    .action((flags: ArchiveVerifyFlags) => run(flags, (_, terminal) => verifyArchive(table, flags, terminal)));
}
