import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Stream } from '../client/door-api.js';
import { beginStream, waitForStream, type Travel } from '../client/journey.js';
import { streamReport } from '../client/report.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags, StreamFlags } from '../flags.js';
import type { Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { paceFrom } from './door-options.js';
import { runIdFrom } from './run.js';

export interface StreamCommandFlags extends DoorFlags, StreamFlags {
  readonly again?: boolean;
  readonly pause?: boolean;
  readonly wait?: boolean;
}

/** Starts, resumes, repeats or pauses the stream of a run. */
export async function streamRun(
  units: UnitTable,
  name: string,
  flags: StreamCommandFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const pace = paceFrom(flags.pace);
  if (flags.pause === true && (flags.again === true || flags.wait === true || pace !== undefined)) {
    throw new ProbityError('CONFIG_INVALID', '--pause stands alone: without it the stream goes on');
  }
  const runId = runIdFrom(name);
  return await throughDoor({ table: units, flags, terminal, name: 'stream', roles: ['wsp', 'ig'] }, async (travel) => {
    const now = await act(travel, runId, { pace, again: flags.again === true, pause: flags.pause === true });
    const stream = flags.wait === true ? await waitForStream(travel, runId) : now;
    travel.progress.clear();
    const { document, lines } = streamReport(stream);
    terminal.answer(document, lines);
    const good = flags.wait === true ? stream.state === 'COMPLETED' : stream.state !== 'FAILED';
    return good ? EXIT.OK : EXIT.FAILED;
  });
}

async function act(
  travel: Travel,
  runId: string,
  wish: { readonly pace: ReturnType<typeof paceFrom>; readonly again: boolean; readonly pause: boolean },
): Promise<Stream> {
  const { api } = travel;
  if (wish.pause) return await api.pauseStream(runId);
  // Only --again begins another pass; without it a stream that has ended is shown as it is.
  if (wish.again) return await beginStream(travel, runId, wish.pace);
  return await api.startStream(runId, wish.pace === undefined ? {} : { pace: wish.pace });
}
