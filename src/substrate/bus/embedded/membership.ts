import { ProbityError } from '../../../rails/errors/probity-error.js';
import { type Clock } from '../../clock/clock.port.js';
import { type Database, type Session } from '../../database/database.port.js';
import { type GroupName } from '../bus.port.js';
import { assignPartitions } from '../group-assignment.core.js';
import { closeSession } from './farewell.js';
import { type PlaceId } from './signals.js';

export interface Pulse {
  readonly generation: number;
  /** Members came, went or died since the assignment of this generation was made. */
  readonly stale: boolean;
}

const JOIN = { name: 'bus_join', text: 'select join_group($1, $2, $3) as member' } as const;
const PULSE = { name: 'bus_pulse', text: 'select generation, stale from pulse($1, $2)' } as const;
const LEAVE = { name: 'bus_leave', text: 'select leave_group($1)' } as const;
const TARGET = {
  name: 'bus_target',
  text: `
    select a.topic_id, a.partition from group_assignments as a
    where a.group_name = $1 and a.member_id = $2`,
  readOnly: true,
} as const;
const ACQUIRE = {
  name: 'bus_acquire',
  text: `
    select w.topic_id, w.partition from unnest($2::int[], $3::int[]) as w (topic_id, partition)
    where pg_try_advisory_lock(partition_key($1, w.topic_id, w.partition))`,
} as const;
const RELEASE = {
  name: 'bus_release',
  text: `
    select pg_advisory_unlock(partition_key($1, w.topic_id, w.partition))
    from unnest($2::int[], $3::int[]) as w (topic_id, partition)`,
} as const;

interface PlaceRow {
  readonly topic_id: number;
  readonly partition: number;
}

interface OwnedRow extends PlaceRow {
  readonly member_id: number | null;
}

interface GroupRow {
  readonly generation: number;
  readonly members: readonly number[];
}

interface MemberRow {
  readonly member_id: number;
  readonly topic_ids: readonly number[];
}

/**
 * One member's standing in its group, for as long as its session lives. Two things make it exclusive:
 *
 * - an assignment that one member writes for all, by compare-and-set on the group's generation: everybody follows the same;
 * - a session lock per partition: whatever the assignment says, a partition is worked on only by whoever holds its lock,
 *   and a lock goes with its session and not before. So a hand-over is: the old owner ends its work, then unlocks; the new
 *   one tries the lock until it gets it.
 *
 * A dead process's session ends at once, its locks with it. A frozen one is found by its silence, and its session is ended
 * by the others. Either way the locks are free only when the server has forgotten the session.
 */
export class Membership {
  readonly member: number;
  readonly group: GroupName;
  readonly #session: Session;
  readonly #database: Database;
  readonly #clock: Clock;

  private constructor(member: number, group: GroupName, session: Session, database: Database, clock: Clock) {
    this.member = member;
    this.group = group;
    this.#session = session;
    this.#database = database;
    this.#clock = clock;
  }

  static async join(
    { database, clock }: { readonly database: Database; readonly clock: Clock },
    group: GroupName,
    topicIds: readonly number[],
    sessionTimeoutMs: number,
  ): Promise<Membership> {
    const session = await database.session();
    try {
      // Nothing that this session writes needs to outlive the server: with the server its locks are gone.
      await session.query('set synchronous_commit = off');
      const { rows } = await session.query<{ member: number }>(JOIN, [group, topicIds, sessionTimeoutMs]);
      const [joined] = rows;
      if (joined === undefined) throw new ProbityError('BUS_UNAVAILABLE', 'the group did not take the member in');
      return new Membership(joined.member, group, session, database, clock);
    } catch (fault) {
      await session.close();
      throw fault;
    }
  }

  /** Fires when the session is gone, and every partition with it. */
  get lost(): AbortSignal {
    return this.#session.closed;
  }

  /** A sign of life. Undefined when the group has given this member up. */
  async pulse(): Promise<Pulse | undefined> {
    return (await this.#session.query<Pulse>(PULSE, [this.member, this.group])).rows[0];
  }

  /** What this member ought to have. */
  async target(): Promise<readonly PlaceId[]> {
    const { rows } = await this.#session.query<PlaceRow>(TARGET, [this.group, this.member]);
    return rows.map(placeOf);
  }

  /** Locks what is free of these and says which. Never call it for a place that is held: locks count their holds. */
  async acquire(places: readonly PlaceId[]): Promise<readonly PlaceId[]> {
    const { rows } = await this.#session.query<PlaceRow>(ACQUIRE, [this.group, ...columns(places)]);
    return rows.map(placeOf);
  }

  async release(places: readonly PlaceId[]): Promise<void> {
    await this.#session.query(RELEASE, [this.group, ...columns(places)]);
  }

  async leave(): Promise<void> {
    await this.#session.query(LEAVE, [this.member]);
  }

  async close(): Promise<void> {
    await closeSession(this.#session, this.#clock);
  }

  /**
   * Makes the next assignment if there is a reason for one; says whether it did. On connections of the pool: the session
   * must stay free for the pulse.
   */
  async rebalance(): Promise<boolean> {
    const group = await this.#database.query<GroupRow>('select generation, members from read_group($1)', [this.group]);
    const [seen] = group.rows;
    const { rows: members } = await this.#database.query<MemberRow>(
      'select member_id, topic_ids from group_members where group_name = $1 order by member_id',
      [this.group],
    );
    const live = members.map(({ member_id }) => member_id);
    // Somebody else was faster: what made this member look stale is settled.
    if (seen === undefined || live.join() === seen.members.join()) return false;

    const { rows: places } = await this.#database.query<OwnedRow>(
      `select p.topic_id, p.partition, a.member_id
       from partitions as p left join group_assignments as a
         on a.group_name = $1 and a.topic_id = p.topic_id and a.partition = p.partition
       where p.topic_id = any($2)`,
      [this.group, [...new Set(members.flatMap(({ topic_ids }) => topic_ids))]],
    );
    const next = assign(members, places);
    const { rows } = await this.#database.query<{ installed: boolean }>(
      'select install_assignment($1, $2, $3, $4, $5, $6) as installed',
      [this.group, seen.generation, live, ...columns(next), next.map(({ member }) => member)],
    );
    return rows[0]?.installed === true;
  }
}

function assign(members: readonly MemberRow[], places: readonly OwnedRow[]): (PlaceId & { readonly member: number })[] {
  const assigned = assignPartitions(
    members.map(({ member_id, topic_ids }) => ({ member: member_id, topics: topic_ids.map(String) })),
    places.map((row) => ({ place: nameOf(row), topic: String(row.topic_id) })),
    new Map(places.flatMap((row) => (row.member_id === null ? [] : [[nameOf(row), row.member_id] as const]))),
  );
  return places.flatMap((row) => {
    const member = assigned.get(nameOf(row));
    return member === undefined ? [] : [{ ...placeOf(row), member }];
  });
}

function nameOf(row: PlaceRow): string {
  // Padded, so that the order of the names is the order of the partitions.
  return `${row.topic_id}/${String(row.partition).padStart(6, '0')}`;
}

function placeOf({ topic_id, partition }: PlaceRow): PlaceId {
  return { topicId: topic_id, partition };
}

function columns(places: readonly PlaceId[]): [number[], number[]] {
  return [places.map(({ topicId }) => topicId), places.map(({ partition }) => partition)];
}
