import { Controller, HttpCode, Param, Post, Req } from '@nestjs/common';
import { ApiConsumes, ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import type { FastifyRequest } from 'fastify';
import { systemActor } from '../../rails/actor.js';
import type { ErrorCode } from '../../rails/errors/registry.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { bodyOf, collect, StreamedBody } from '../../substrate/http/bodies.js';
import { RequirePermission } from '../../substrate/http/principal.js';
import { contextOf } from '../../substrate/http/telemetry.hooks.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import { Secrets } from '../../substrate/secrets/secrets.port.js';
import { webhookFault, webhookKey } from '../../substrate/signing/standard-webhooks.js';
import { runIdOf } from '../scenario-runner/scenario-runner.port.js';
import type { AssertResult } from './assertion.schema.js';
import { type ExternalFeed, feedActor, STORE_POLICY } from './label-store.policy.js';
import { LABELS_MAX } from './label-store.port.js';
import { LabelStoreService } from './label-store.service.js';
import { mapRow } from './mapping.core.js';

const BODY_BYTES_MAX = 1024 * 1024;
const CALL_LIMIT_MS = 10_000;

/**
 * Where systems of others (a card network, an issuer) report what became known. A message is believed for its signature; what its sender may write
 * stands in the policy.
 */
@ApiTags('labels')
@Controller('v1/labels/feeds')
export class ExternalFeedController {
  constructor(
    private readonly labels: LabelStoreService,
    private readonly policies: Policies,
    private readonly secrets: Secrets,
    private readonly clock: Clock,
  ) {}

  @Post(':feed_id')
  @HttpCode(200)
  @StreamedBody()
  @RequirePermission('labels.feed')
  @ApiOperation({
    summary: 'Takes a signed message of an external feed: one row, or a list of them',
    description:
      'Signed as Standard Webhooks (v1) says. All rows are labels now, or the first that is refused is the answer; a message that is sent again does no harm.',
  })
  @ApiConsumes('application/json')
  @ApiParam({ name: 'feed_id', description: 'A feed of the policy labels.store' })
  async take(
    @Param('feed_id') feedId: string,
    @Req() request: FastifyRequest,
  ): Promise<{ readonly results: readonly AssertResult[] }> {
    const feed = this.policies.inForce(STORE_POLICY).body.feeds.find(({ feed_id }) => feed_id === feedId);
    if (feed === undefined) throw new ProbityError('LBL_FEED_UNKNOWN', 'the policy labels.store lists no such feed');
    const body = await collect(bodyOf(request), BODY_BYTES_MAX);
    this.#demandSigned(feed, request, body);
    const rows = rowsOf(body);
    const of = { runId: runIdOf(feed.run_equivalence_key), namespace: feed.namespace };
    const mapped = rows.map((row) => mapRow(row, feed.mapping, of));
    const assertions = mapped.flatMap((each) => (each.ok ? [each.assertion] : []));
    const unmapped = mapped.flatMap((each, at) => (each.ok ? [] : [{ row: at + 1, says: each.says }]));
    const [first] = unmapped;
    if (first !== undefined) {
      // Of a message all rows are labels, or none is: with one that cannot be read all are refused.
      const code = 'LBL_ASSERTION_INVALID';
      await this.labels.refused(
        of,
        [...rows.keys()].map((at) => ({ row: at + 1, code })),
      );
      throw new ProbityError(code, `row ${first.row}: ${first.says}`);
    }
    const actor = systemActor(feedActor(feedId), 'SIGNATURE');
    const context = outgoing(this.clock, CALL_LIMIT_MS, { trace: contextOf(request) ?? ROOT_CONTEXT });
    const results = await this.labels.append(assertions, actor, context);
    const refused = results.findIndex(({ outcome }) => outcome === 'REJECTED');
    const { code, detail = '' } = results[refused] ?? {};
    // The sender would take an answer of success as the end of it.
    if (code !== undefined)
      throw new ProbityError(code as ErrorCode, `row ${refused + 1}: ${detail}`, { data: { row: refused + 1 } });
    return { results };
  }

  #demandSigned({ secret, tolerance_s: toleranceS }: ExternalFeed, { headers }: FastifyRequest, body: Buffer): void {
    const key = webhookKey(this.secrets.read(secret));
    if (key === null)
      throw new ProbityError('CONFIG_INVALID', 'the secret of the feed is not whsec_<base64 of 24 to 64 bytes>');
    const fault = webhookFault(headers, body, { key, nowMs: this.clock.nowMs(), toleranceS });
    if (fault !== undefined) throw new ProbityError('LBL_FEED_SIGNATURE_INVALID', fault);
  }
}

function rowsOf(body: Buffer): readonly unknown[] {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new ProbityError('HTTP_BODY_INVALID', 'the message is not JSON', { cause });
  }
  const rows: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (rows.length === 0 || rows.length > LABELS_MAX)
    throw new ProbityError('HTTP_REQUEST_INVALID', `a message holds 1 to ${LABELS_MAX} rows`);
  return rows;
}
