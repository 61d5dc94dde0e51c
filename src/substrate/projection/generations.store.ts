import type { PolicyRev } from '../../rails/policy-rev.js';
import type { Ref } from '../../rails/ref.js';
import type { Basis } from '../../rails/basis.js';
import type { Database, Transaction } from '../database/database.port.js';
import type { CheckpointStore, InvalidRecord, Owner } from './checkpoint.store.js';
import type { Compared, Counted, Generation, GenerationState } from './generation.schema.js';

const COLUMNS = 'generation, op_id, plan, policy_rev, state, counted, compared, fault';
const NOTHING: Counted = { records: 0, events: 0, labels: 0, invalid: 0 };

/** The generations beside the one that is served. Only the owner of the state writes. */
export class GenerationsStore {
  constructor(
    private readonly database: Database,
    private readonly checkpoints: CheckpointStore,
  ) {}

  async find(opId: string): Promise<Generation | null> {
    const { rows } = await this.database.query<Generation>(
      { text: `select ${COLUMNS} from generations where op_id = $1`, readOnly: true },
      [opId],
    );
    return rows[0] ?? null;
  }

  /** Begins one, once per operation, and lets the others go that are not served: there is one beside the state at the most. */
  async begin(owner: Owner, opId: string, plan: Ref, policyRev: PolicyRev): Promise<void> {
    await this.checkpoints.owned(owner, async (transaction) => {
      const { count } = await transaction.query('select from generations where op_id = $1', [opId]);
      if (count > 0) return;
      await discard(transaction, owner.live);
      await transaction.query(
        `insert into generations (op_id, plan, policy_rev, state, counted)
         values ($1, $2::jsonb, $3::jsonb, 'BUILDING', $4::jsonb)`,
        [opId, JSON.stringify(plan), JSON.stringify(policyRev), JSON.stringify(NOTHING)],
      );
    });
  }

  async to(
    owner: Owner,
    generation: number,
    state: GenerationState,
    found: { readonly compared?: Compared; readonly fault?: Generation['fault'] } = {},
  ): Promise<void> {
    await this.checkpoints.owned(owner, async (transaction) => {
      await transaction.query(
        `update generations set state = $2, compared = coalesce($3::jsonb, compared), fault = $4::jsonb
         where generation = $1`,
        [
          ...[generation, state],
          found.compared === undefined ? null : JSON.stringify(found.compared),
          found.fault === undefined ? null : JSON.stringify(found.fault),
        ],
      );
    });
  }

  /** Part of the step that moves the positions. */
  async count(transaction: Transaction, generation: number, counted: Counted): Promise<void> {
    await transaction.query('update generations set counted = $2::jsonb where generation = $1', [
      generation,
      JSON.stringify(counted),
    ]);
  }

  /** Part of the step that moves the pointer: what was served until then is let go. */
  async live(transaction: Transaction, generation: number): Promise<void> {
    await transaction.query(`update generations set state = 'LIVE' where generation = $1`, [generation]);
    await discard(transaction, generation);
  }

  /** Records within the basis that could not be used. */
  async invalid(generation: number, basis: Basis): Promise<readonly Omit<InvalidRecord, 'detail'>[]> {
    const ends = Object.entries(basis.topics).flatMap(([topic, offsets]) =>
      Object.entries(offsets).map(([partition, next]) => [topic, Number(partition), next] as const),
    );
    const { rows } = await this.database.query<Omit<InvalidRecord, 'detail'>>(
      {
        text: `select i.topic, i.partition, i.record_offset as offset, i.reason, i.pins_digest as "pinsDigest"
               from invalid as i
               join unnest($2::text[], $3::integer[], $4::bigint[]) as e (topic, partition, next_offset)
                 on e.topic = i.topic and e.partition = i.partition and i.record_offset < e.next_offset
               where i.generation = $1`,
        readOnly: true,
      },
      [generation, ends.map(([topic]) => topic), ends.map(([, at]) => at), ends.map(([, , next]) => next)],
    );
    return rows;
  }
}

async function discard(transaction: Transaction, live: number): Promise<void> {
  await transaction.query('delete from segments where run in (select run from runs where generation <> $1)', [live]);
  for (const table of ['runs', 'positions', 'invalid'])
    await transaction.query(`delete from ${table} where generation <> $1`, [live]);
  await transaction.query(`update generations set state = 'DISCARDED' where generation <> $1`, [live]);
}
