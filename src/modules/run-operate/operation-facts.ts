import { Injectable } from '@nestjs/common';
import type { Actor } from '../../rails/actor.js';
import { type StepTold, stepFact } from '../../rails/events/governance-fact.schema.js';
import type { UtcMicros } from '../../rails/time.js';
import { About } from '../../substrate/about.js';
import type { Transaction } from '../../substrate/database/database.port.js';
import { GovernanceFacts } from './governance-facts.js';

/** What an operation has to tell. */
export type Told = Pick<StepTold, 'kind' | 'subject' | 'reason' | 'detail' | 'evidence' | 'step'>;

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
      told.map((each) => stepFact({ ...each, scope, opId, actor, at })),
    );
  }
}
