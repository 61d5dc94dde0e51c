import { Injectable } from '@nestjs/common';
import type { GovernanceFact } from '../../rails/events/governance-fact.schema.js';
import { type Activation } from '../../substrate/policy/activation.schema.js';
import { Database, type Transaction } from '../../substrate/database/database.port.js';
import { factOf, GovernanceFacts, type StoredFact } from './governance-facts.js';

/** The part of the schema `gov` that lanes of policies write: facts, and activations in their order. */
@Injectable()
export class PolicyLanesStore {
  constructor(
    private readonly database: Database,
    private readonly facts: GovernanceFacts,
  ) {}

  /** One command at a time, and none while somebody compares what is in force. */
  async locked<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    return await this.database.transaction(async (transaction) => {
      await transaction.query('select 1 from turn for update');
      return await work(transaction);
    });
  }

  /** Facts of one policy, oldest first. */
  async factsOf(policyId: string, transaction?: Transaction): Promise<readonly GovernanceFact[]> {
    const text = `select fact from facts where subject = $1 and kind like 'POLICY\\_%' order by number`;
    const { rows } = await (transaction === undefined
      ? this.database.query<{ fact: StoredFact }>({ text, readOnly: true }, [policyId])
      : transaction.query<{ fact: StoredFact }>(text, [policyId]));
    return rows.map(({ fact }) => factOf(fact));
  }

  /** What was done under a key; a refusal is not. */
  async doneUnder(transaction: Transaction, key: string): Promise<GovernanceFact | undefined> {
    const { rows } = await transaction.query<{ fact: StoredFact }>(
      `select fact from facts where op_id = $1 and kind like 'POLICY\\_%' and kind <> 'POLICY_REFUSED' limit 1`,
      [key],
    );
    const [row] = rows;
    return row === undefined ? undefined : factOf(row.fact);
  }

  async append(
    transaction: Transaction,
    fact: GovernanceFact,
    link?: (before: Activation | null) => Activation,
  ): Promise<void> {
    await this.facts.append(transaction, [fact]);
    if (link === undefined) return;
    const { rows } = await transaction.query<{ record: Activation }>(
      'select record from activations order by seq desc limit 1',
    );
    const record = link(rows[0]?.record ?? null);
    await transaction.query(
      `with new as (insert into activations (seq, fact_id, record) values ($1, $2, $3) returning seq)
       insert into activations_to_put (seq) select seq from new`,
      [record.seq, record.fact_id, JSON.stringify(record)],
    );
  }

  /** Activations that do not stand in the object store yet, as far as is known; oldest first. */
  async toPut(): Promise<readonly Activation[]> {
    const { rows } = await this.database.query<{ record: Activation }>(
      { text: 'select record from activations_to_put join activations using (seq) order by seq', readOnly: true },
      [],
    );
    return rows.map(({ record }) => record);
  }

  async put(seq: number): Promise<void> {
    await this.database.query('delete from activations_to_put where seq = $1', [seq]);
  }
}
