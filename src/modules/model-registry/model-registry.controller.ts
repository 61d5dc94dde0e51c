import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import { Type } from '@sinclair/typebox';
import { BundleRefSchema } from '../../rails/events/decision.schema.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { RegistryFact } from '../../rails/events/registry-fact.schema.js';
import { type BundleSlot, BundleSlotSchema } from '../../rails/registry/scope.js';
import { closed, safeInteger } from '../../rails/schema.js';
import { parseUtc, type UtcMicros } from '../../rails/time.js';
import { validatorOf } from '../../rails/validator.js';
import { Caller, RequirePermission } from '../../substrate/http/principal.js';
import { demandBody, documented, LIMIT, limitOf } from '../../substrate/http/requests.js';
import type { Principal } from '../../substrate/identity/identity.port.js';
import type { Command, Named } from './lifecycle.core.js';
import {
  IdempotencyKeyTextSchema,
  PublishRequest,
  ReasonSchema,
  type RegistryDone,
  type Resolved,
} from './model-registry.port.js';
import { ModelRegistryService } from './model-registry.service.js';
import { ModelRegistryStore, type Registered, type RefusalRow } from './model-registry.store.js';

const CURSOR = { name: 'cursor', required: false, description: 'next_cursor of the page before' } as const;

const { bundle_id, bundle_version } = BundleRefSchema.properties;
const NamedSchema = closed({ bundle_id, bundle_version });
const once = { reason: ReasonSchema, idempotency_key: IdempotencyKeyTextSchema };
const slotted = {
  slot: BundleSlotSchema,
  /** Number of the slot's last fact that the caller saw; 0 where there was none. */
  expected_seq: safeInteger(0, 'number of a fact'),
};

/** The bundle itself in place of a reference. */
const PublicationBody = closed({
  ...PublishRequest.properties,
  bundle: Type.Object({}, { additionalProperties: true, description: 'a bundle' }),
});
const ApprovalBody = closed({ bundle: NamedSchema, ...once });
const PromotionBody = closed({ bundle: NamedSchema, ...slotted, ...once });
const RollbackBody = closed({ bundle: Type.Optional(NamedSchema), ...slotted, ...once });
const RetirementBody = closed({ bundle: NamedSchema, ...once });

const bodies = {
  publication: validatorOf(PublicationBody, 'the request'),
  approval: validatorOf(ApprovalBody, 'the request'),
  promotion: validatorOf(PromotionBody, 'the request'),
  rollback: validatorOf(RollbackBody, 'the request'),
  retirement: validatorOf(RetirementBody, 'the request'),
};

/** A version of a bundle, as people look at it. */
interface BundleView {
  readonly bundle: Registered['version']['ref'];
  readonly bundle_fingerprint: string;
  readonly state: Registered['version']['state'];
  readonly active_in: readonly BundleSlot[];
  readonly ineligible: readonly string[];
  readonly published_by: string;
  readonly published_at_utc: UtcMicros;
}

@ApiTags('registry')
@Controller('v1/registry')
export class ModelRegistryController {
  constructor(
    private readonly registry: ModelRegistryService,
    private readonly store: ModelRegistryStore,
  ) {}

  @Post('bundles')
  @HttpCode(200)
  @RequirePermission('registry.publish')
  @ApiOperation({
    summary: 'Registers a version of a bundle; nothing becomes active',
    description:
      'Without an evaluation, a receipt of the gates that says PASS, and its lineage it is registered as ineligible, and stays so.',
  })
  @ApiBody({ schema: documented(PublicationBody) })
  async publish(@Body() body: unknown, @Caller() caller: Principal): Promise<RegistryDone> {
    const {
      bundle,
      lineage,
      evidence,
      supersedes,
      reason,
      idempotency_key: key,
    } = demandBody(bodies.publication, body);
    const rest = { lineage, evidence, ...(supersedes === undefined ? {} : { supersedes }) };
    return await this.registry.register(() => Promise.resolve(bundle), rest, { actor: caller.actor, reason, key });
  }

  @Post('approvals')
  @HttpCode(200)
  @RequirePermission('registry.approve')
  @ApiOperation({ summary: 'Says that a version may become active' })
  @ApiBody({ schema: documented(ApprovalBody) })
  async approve(@Body() body: unknown, @Caller() caller: Principal): Promise<RegistryDone> {
    const { bundle, ...asked } = demandBody(bodies.approval, body);
    return await this.#command({ action: 'approve', bundle }, asked, caller);
  }

  @Post('promotions')
  @HttpCode(200)
  @RequirePermission('registry.promote')
  @ApiOperation({
    summary: 'Makes a version active in a slot, in place of what was',
    description: 'expected_seq refuses where somebody else changed the slot since it was looked at (412).',
  })
  @ApiBody({ schema: documented(PromotionBody) })
  async promote(@Body() body: unknown, @Caller() caller: Principal): Promise<RegistryDone> {
    const { bundle, slot, expected_seq, ...asked } = demandBody(bodies.promotion, body);
    return await this.#command({ action: 'promote', bundle, slot, expected_seq }, asked, caller);
  }

  @Post('rollbacks')
  @HttpCode(200)
  @RequirePermission('registry.promote')
  @ApiOperation({ summary: 'Makes the version active again that was active before, or the one that is named' })
  @ApiBody({ schema: documented(RollbackBody) })
  async rollBack(@Body() body: unknown, @Caller() caller: Principal): Promise<RegistryDone> {
    const { bundle, slot, expected_seq, ...asked } = demandBody(bodies.rollback, body);
    const named = bundle === undefined ? {} : { bundle };
    return await this.#command({ action: 'rollback', slot, expected_seq, ...named }, asked, caller);
  }

  @Post('retirements')
  @HttpCode(200)
  @RequirePermission('registry.promote')
  @ApiOperation({ summary: 'Ends a version; where it is active, nothing is afterwards' })
  @ApiBody({ schema: documented(RetirementBody) })
  async retire(@Body() body: unknown, @Caller() caller: Principal): Promise<RegistryDone> {
    const { bundle, ...asked } = demandBody(bodies.retirement, body);
    return await this.#command({ action: 'retire', bundle }, asked, caller);
  }

  @Get('bundles')
  @RequirePermission('registry.read')
  @ApiOperation({ summary: 'Versions of bundles, the last that was published first' })
  @ApiQuery(LIMIT)
  @ApiQuery(CURSOR)
  async bundles(
    @Query('limit') limitText?: string,
    @Query('cursor') cursor?: string,
  ): Promise<{ readonly bundles: readonly BundleView[]; readonly next_cursor?: string }> {
    const limit = limitOf(limitText);
    const rows = await this.store.registered(numberOf(cursor, 'cursor') ?? Number.MAX_SAFE_INTEGER, limit + 1);
    const last = rows[limit - 1];
    return {
      bundles: rows.slice(0, limit).map(viewOf),
      ...(rows.length > limit && last !== undefined ? { next_cursor: String(last.seq) } : {}),
    };
  }

  @Get('bundles/:bundle_id/:bundle_version')
  @RequirePermission('registry.read')
  @ApiOperation({ summary: 'A version with its manifest and all that happened to it' })
  async show(
    @Param('bundle_id') id: string,
    @Param('bundle_version') version: string,
  ): Promise<{ readonly facts: readonly RegistryFact[] }> {
    const facts = await this.store.factsOf(namedOf(id, version));
    if (facts.length === 0) throw new ProbityError('MPR_BUNDLE_UNKNOWN', 'no such version was published');
    return { facts };
  }

  @Get('resolve')
  @RequirePermission('registry.read')
  @ApiOperation({ summary: 'Which bundle is active in a slot, now or as of a fact or a time' })
  @ApiQuery({ name: 'slot', required: true })
  @ApiQuery({ name: 'as_of_seq', required: false, description: 'number of a fact' })
  @ApiQuery({ name: 'as_of', required: false, description: 'RFC 3339' })
  async resolve(
    @Query('slot') slot?: string,
    @Query('as_of_seq') seqText?: string,
    @Query('as_of') time?: string,
  ): Promise<Resolved> {
    const seq = numberOf(seqText, 'as_of_seq');
    return await this.registry.resolve({
      slots: [slotOf(slot)],
      ...(seq === undefined ? {} : { as_of_seq: seq }),
      ...(time === undefined ? {} : { as_of_utc: timeOf(time) }),
    });
  }

  @Get('explain')
  @RequirePermission('registry.read')
  @ApiOperation({ summary: 'What is active in a slot, and the facts that made it so' })
  @ApiQuery({ name: 'slot', required: true })
  async explain(@Query('slot') slot?: string): Promise<{
    readonly resolution: Resolved['resolutions'][number];
    /** What a promotion names as seen; 0 where nothing ever happened. */
    readonly slot_seq: number;
    readonly because: readonly RegistryFact[];
  }> {
    const name = slotOf(slot);
    const { rows } = await this.store.active([name]);
    const { resolutions } = await this.registry.resolve({ slots: [name] });
    const [resolution] = resolutions;
    if (resolution === undefined) throw new TypeError('one answer per slot');
    const [row] = rows;
    const facts = row?.bundle ? await this.store.factsOf(row.bundle) : [];
    const because = facts.filter(
      ({ action, registry_seq }) =>
        registry_seq === row?.seq || action === 'BUNDLE_PUBLISHED' || action === 'BUNDLE_APPROVED',
    );
    return { resolution, slot_seq: row?.seq ?? 0, because };
  }

  @Get('facts')
  @RequirePermission('registry.read')
  @ApiOperation({ summary: 'All facts, oldest first: asked again with the cursor, a stream of changes' })
  @ApiQuery(LIMIT)
  @ApiQuery({
    name: 'cursor',
    required: false,
    description: 'cursor of the answer before; from the first one unless given',
  })
  async facts(
    @Query('limit') limitText?: string,
    @Query('cursor') cursor?: string,
  ): Promise<{ readonly facts: readonly RegistryFact[]; readonly cursor: string }> {
    const after = numberOf(cursor, 'cursor') ?? 0;
    const facts = await this.store.facts(after, limitOf(limitText));
    return { facts, cursor: String(facts.at(-1)?.registry_seq ?? after) };
  }

  @Get('refusals')
  @RequirePermission('registry.read')
  @ApiOperation({ summary: 'What was asked for and refused, youngest first' })
  @ApiQuery(LIMIT)
  @ApiQuery(CURSOR)
  async refusals(
    @Query('limit') limitText?: string,
    @Query('cursor') cursor?: string,
  ): Promise<{ readonly refusals: readonly RefusalRow[]; readonly next_cursor?: string }> {
    const limit = limitOf(limitText);
    const rows = await this.store.refusals(numberOf(cursor, 'cursor') ?? Number.MAX_SAFE_INTEGER, limit + 1);
    const last = rows[limit - 1];
    return {
      refusals: rows.slice(0, limit),
      ...(rows.length > limit && last !== undefined ? { next_cursor: String(last.number) } : {}),
    };
  }

  async #command(
    command: Command,
    { reason, idempotency_key: key }: { readonly reason: string; readonly idempotency_key: string },
    { actor }: Principal,
  ): Promise<RegistryDone> {
    if (actor.source_type !== 'HUMAN') throw new ProbityError('MPR_PERSON_NEEDED', `${actor.actor_id} is no person`);
    return await this.registry.command(command, { actor, reason, key });
  }
}

function viewOf({ version, fingerprint, ineligible, activeIn, publishedAt }: Registered): BundleView {
  return {
    bundle: version.ref,
    bundle_fingerprint: fingerprint,
    state: version.state,
    active_in: activeIn,
    ineligible,
    published_by: version.publisher,
    published_at_utc: publishedAt,
  };
}

function numberOf(text: string | undefined, name: string): number | undefined {
  if (text === undefined) return undefined;
  if (/^[0-9]{1,15}$/.test(text)) return Number(text);
  throw new ProbityError('HTTP_REQUEST_INVALID', `${name} is a number of an answer`);
}

function slotOf(text: string | undefined): BundleSlot {
  if (text !== undefined && /^[a-z][a-z0-9_-]{0,63}$/.test(text)) return text as BundleSlot;
  throw new ProbityError('HTTP_REQUEST_INVALID', 'slot names a slot');
}

function namedOf(bundleId: string, version: string): Named {
  if (/^[1-9][0-9]{0,8}$/.test(version)) return { bundle_id: bundleId, bundle_version: Number(version) };
  throw new ProbityError('MPR_BUNDLE_UNKNOWN', 'a version is a whole number from 1');
}

function timeOf(text: string): UtcMicros {
  try {
    return parseUtc(text);
  } catch (cause) {
    throw new ProbityError('HTTP_REQUEST_INVALID', 'as_of is no time of RFC 3339', { cause });
  }
}
