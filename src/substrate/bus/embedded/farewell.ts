import { type Clock } from '../../clock/clock.port.js';
import { type Session } from '../../database/database.port.js';

/** On a line that went silent the server never answers a goodbye; nobody's work may wait for it. */
const FAREWELL_MS = 1_000;

export async function closeSession(session: Session, clock: Clock): Promise<void> {
  const done = new AbortController();
  const closed = session.close().finally(() => done.abort());
  await Promise.race([closed, clock.sleep(FAREWELL_MS, done.signal)]);
}
