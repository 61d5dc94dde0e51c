import { Injectable } from '@nestjs/common';
import type { Actor } from '../../rails/actor.js';
import {
  type GovernanceFact,
  type GovernanceFactKind,
  governanceFactRecipe,
} from '../../rails/events/governance-fact.schema.js';
import type { Digest } from '../../rails/digest.js';
import type { Ref } from '../../rails/ref.js';
import type { UtcMicros } from '../../rails/time.js';
import { About } from '../../substrate/about.js';
import type { Transaction } from '../../substrate/database/database.port.js';
import { GovernanceFacts } from './governance-facts.js';

/** What an operation has to tell. */
export interface Told {
  readonly kind: GovernanceFactKind;
  readonly subject: string;
  readonly reason: string;
  readonly detail?: GovernanceFact['detail'];
  readonly evidence?: readonly Ref[];
  /** Place among facts of its kind within the operation; 0 unless given. */
  readonly step?: number;
}

/** Facts of one operation, in the transaction that does what they tell of: done again they are the same facts. */
@Injectable()
export class OperationFacts {
  constructor(
    private readonly facts: GovernanceFacts,
    private readonly about: About,
  ) {}

  async append(
    transaction: Transaction,
    { opId, actor, at }: { readonly opId: string; readonly actor: Actor; readonly at: UtcMicros },
    told: readonly Told[],
  ): Promise<void> {
    const scope = this.about.env;
    await this.facts.append(
      transaction,
      told.map(({ kind, subject, reason, detail = {}, evidence = [], step = 0 }) => ({
        fact_id: governanceFactRecipe.derive({ scope, op_id: opId, kind, step }) as string as Digest,
        ...{ kind, scope, subject, actor, before: null, after: null, reason, evidence, detail, op_id: opId, step },
        observed_at_utc: at,
      })),
    );
  }
}
