import { ProbityError } from '../../../rails/errors/probity-error.js';
import { type Database, type Session } from '../../../substrate/database/database.port.js';

/** More gates than anybody runs beside each other on one ledger. */
const SLOTS = 256;

/**
 * The number under which one gate writes: held by a session lock, so that it is free the moment its holder is gone, whatever
 * ended it. The number names the producer, and opening that producer fences whoever held the number before.
 */
export class Slot {
  private constructor(
    readonly number: number,
    readonly session: Session,
  ) {}

  /** @throws ProbityError INTERNAL when all are held */
  static async take(database: Database): Promise<Slot> {
    const session = await database.session();
    try {
      for (let number = 0; number < SLOTS; number += 1) {
        if (await tryLock(session, number)) return new Slot(number, session);
      }
    } catch (fault) {
      await session.close();
      throw fault;
    }
    await session.close();
    throw new ProbityError('INTERNAL', `all ${SLOTS} slots of gates are held`);
  }

  /** Does the work under another slot's lock, if nobody holds that. */
  async whileHolding(number: number, work: () => Promise<void>): Promise<boolean> {
    if (!(await tryLock(this.session, number))) return false;
    try {
      await work();
    } finally {
      await this.session.query('select pg_advisory_unlock(slot_key($1))', [number]);
    }
    return true;
  }

  get isLost(): boolean {
    return this.session.closed.aborted;
  }

  /** A round trip through the session that holds the lock. @throws ProbityError DATABASE_UNAVAILABLE when it is gone */
  async demandHeld(): Promise<void> {
    await this.session.query('select 1');
  }

  async free(): Promise<void> {
    await this.session.close();
  }
}

async function tryLock(session: Session, number: number): Promise<boolean> {
  const { rows } = await session.query<{ held: boolean }>('select pg_try_advisory_lock(slot_key($1)) as held', [
    number,
  ]);
  return rows[0]?.held ?? false;
}
