import { asOffset, asTopicName } from '../../rails/eb-ref.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { ArchiveApi, type ArchiveVerificationAnswer } from '../client/archive-api.js';
import { polled } from '../client/journey.js';
import { thousands } from '../client/progress.core.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import { figures, table, type Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';

/** What is archived of each partition, and how far that is behind the bus. */
export async function archiveStatus(units: UnitTable, flags: DoorFlags, terminal: Terminal): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'archive', roles: ['ops'] }, async (travel) => {
    const status = await new ArchiveApi(travel.api).status();
    terminal.answer(status, [
      ...table(
        ['TOPIC', 'PARTITION', 'CHUNKS', 'RECORDS', 'BYTES', 'FROM', 'TO', 'BEHIND', 'GAPS', 'BUS FROM'],
        status.partitions.map((one) => [
          ...[one.topic, String(one.partition), thousands(one.chunks), thousands(one.records)],
          ...[thousands(one.stored_bytes), String(one.first_offset), String(one.next_offset), thousands(one.behind)],
          ...[one.gaps.map(({ first, next }) => `${first}..${next}`).join(' ') || '-', String(one.low_water)],
        ]),
      ),
    ]);
    return EXIT.OK;
  });
}

export interface ArchiveVerifyFlags extends DoorFlags {
  readonly topic?: string;
  readonly partition?: number;
  readonly from?: string;
  readonly to?: string;
}

/** Reads the archive again, every byte of it. Exit 1 where something is missing or was changed, and it is named. */
export async function verifyArchive(
  units: UnitTable,
  { topic, partition, from, to, ...flags }: ArchiveVerifyFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  if ((from ?? to) !== undefined && (topic === undefined || partition === undefined))
    throw new ProbityError(
      'CONFIG_INVALID',
      '--from and --to are offsets of one partition: give --topic and --partition',
    );
  const request = {
    ...(topic === undefined ? {} : { topic: asTopicName(topic) }),
    ...(partition === undefined ? {} : { partition }),
    ...(from === undefined ? {} : { first_offset: asOffset(from) }),
    ...(to === undefined ? {} : { next_offset: asOffset(to) }),
  };
  return await throughDoor({ table: units, flags, terminal, name: 'archive', roles: ['ops'] }, async (travel) => {
    const api = new ArchiveApi(travel.api);
    const { verification_id: id } = await api.verify(request);
    const found = await polled(
      travel,
      async () => {
        const now = await api.verification(id);
        travel.progress.at('Reading the archive', now.records);
        return now;
      },
      ({ state }) => state !== 'RUNNING',
    );
    travel.progress.clear();
    terminal.answer({ complete: found.state === 'DONE', ...found }, linesOf(found));
    return found.state === 'DONE' ? EXIT.OK : EXIT.FAILED;
  });
}

function linesOf({
  state,
  chunks,
  records,
  bytes,
  proofs,
  fault,
  took_ms,
}: ArchiveVerificationAnswer): readonly string[] {
  return [
    ...figures([
      ['chunks read', thousands(chunks)],
      ['records', thousands(records)],
      ['bytes', thousands(bytes)],
      ['partitions complete', thousands(proofs.length)],
    ]),
    ...(fault === undefined ? [] : [`${fault.code}: ${fault.says}`]),
    state === 'DONE'
      ? `Complete in ${(took_ms / 1_000).toFixed(1)} s: every byte is as it was written, and no offset is missing.`
      : 'NOT complete.',
  ];
}
