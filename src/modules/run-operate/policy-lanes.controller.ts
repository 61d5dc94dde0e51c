import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import { Type } from '@sinclair/typebox';
import type { JsonValue } from '../../rails/canonical-json.js';
import type { JsonDifference } from '../../rails/difference.js';
import { DigestSchema } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type PolicyRev, PolicyRevSchema, type SealedPolicy } from '../../rails/policy-rev.js';
import { closed } from '../../rails/schema.js';
import { validatorOf } from '../../rails/validator.js';
import { Caller, RequirePermission } from '../../substrate/http/principal.js';
import { demandBody, documented } from '../../substrate/http/requests.js';
import type { Principal } from '../../substrate/identity/identity.port.js';
import type { LaneRevision } from './policy-lane.core.js';
import { type LaneDone, PolicyLanes, type PolicyView } from './policy-lanes.service.js';

const once = {
  reason: Type.String({ minLength: 1, maxLength: 1_000 }),
  idempotency_key: Type.String({ minLength: 8, maxLength: 100, pattern: '^[A-Za-z0-9._:-]+$' }),
};
const { revision } = PolicyRevSchema.properties;
/** The fact that the caller saw as the head of the policy; null where there was none. */
const expected = Type.Union([DigestSchema, Type.Null()]);

const ArtifactSchema = closed({ ...PolicyRevSchema.properties, body: Type.Unknown() });
const ProposalBody = closed({ artifact: ArtifactSchema, ...once });
const StepBody = closed({ revision, ...once });
const ActivationBody = closed({ revision, expected, ...once });
const RollbackBody = closed({ revision: Type.Optional(revision), expected, ...once });

const bodies = {
  proposal: validatorOf(ProposalBody, 'the request'),
  step: validatorOf(StepBody, 'the request'),
  activation: validatorOf(ActivationBody, 'the request'),
  rollback: validatorOf(RollbackBody, 'the request'),
};

@ApiTags('governance')
@Controller('v1/policies')
export class PolicyLanesController {
  constructor(private readonly lanes: PolicyLanes) {}

  @Get()
  @RequirePermission('policies.read')
  @ApiOperation({ summary: 'What is in force in this process, what was activated, and where the two differ' })
  async list(): Promise<{ readonly policies: readonly PolicyView[] }> {
    return { policies: await this.lanes.list() };
  }

  @Get(':policy_id/revisions')
  @RequirePermission('policies.read')
  @ApiOperation({ summary: 'A policy, and its revisions with who brought each into its state' })
  async revisions(
    @Param('policy_id') policyId: string,
  ): Promise<PolicyView & { readonly revisions: readonly LaneRevision[] }> {
    return await this.lanes.policy(policyId);
  }

  @Get(':policy_id/revisions/:revision')
  @RequirePermission('policies.read')
  @ApiOperation({ summary: 'The artifact of a revision, verified' })
  async artifact(@Param('policy_id') policyId: string, @Param('revision') number: string): Promise<object> {
    const { policy_rev, body } = await this.lanes.artifact(policyId, numberOf(number, 'revision'));
    return { ...policy_rev, body };
  }

  @Get(':policy_id/diff')
  @RequirePermission('policies.read')
  @ApiOperation({ summary: 'Where two revisions differ, by JSON Pointer into the body' })
  @ApiQuery({ name: 'from', schema: { type: 'integer', minimum: 1 } })
  @ApiQuery({ name: 'to', schema: { type: 'integer', minimum: 1 } })
  async diff(
    @Param('policy_id') policyId: string,
    @Query('from') from?: string,
    @Query('to') to?: string,
  ): Promise<{ readonly differences: readonly JsonDifference[] }> {
    return { differences: await this.lanes.difference(policyId, numberOf(from, 'from'), numberOf(to, 'to')) };
  }

  @Post(':policy_id/proposals')
  @HttpCode(200)
  @RequirePermission('policies.propose')
  @ApiOperation({ summary: 'Proposes a sealed revision; nothing comes into force' })
  @ApiQuery({ name: 'dry_run', required: false, description: 'true: check it alone, and keep nothing' })
  @ApiBody({ schema: documented(ProposalBody) })
  async propose(
    @Param('policy_id') policyId: string,
    @Body() body: unknown,
    @Caller() caller: Principal,
    @Query('dry_run') dryRun?: string,
  ): Promise<LaneDone | { readonly outcome: 'SOUND' }> {
    const { artifact, reason, idempotency_key: key } = demandBody(bodies.proposal, body);
    const policy = sealedOf(artifact as PolicyRev & { readonly body: JsonValue });
    if (policy.policy_rev.policy_id !== policyId)
      throw new ProbityError('HTTP_REQUEST_INVALID', `the artifact is one of ${policy.policy_rev.policy_id}`);
    if (dryRun === 'true') {
      this.lanes.check(policy);
      return { outcome: 'SOUND' };
    }
    return await this.lanes.propose(policy, { actor: caller.actor, reason, key });
  }

  @Post(':policy_id/approve')
  @HttpCode(200)
  @RequirePermission('policies.approve')
  @ApiOperation({ summary: 'Says that a proposed revision may come into force' })
  @ApiBody({ schema: documented(StepBody) })
  async approve(
    @Param('policy_id') id: string,
    @Body() body: unknown,
    @Caller() { actor }: Principal,
  ): Promise<LaneDone> {
    const { revision: number, reason, idempotency_key: key } = demandBody(bodies.step, body);
    return await this.lanes.command(id, { action: 'approve', revision: number }, { actor, reason, key });
  }

  @Post(':policy_id/withdraw')
  @HttpCode(200)
  @RequirePermission('policies.propose')
  @ApiOperation({ summary: 'Takes back a revision that is not in force yet' })
  @ApiBody({ schema: documented(StepBody) })
  async withdraw(
    @Param('policy_id') id: string,
    @Body() body: unknown,
    @Caller() { actor }: Principal,
  ): Promise<LaneDone> {
    const { revision: number, reason, idempotency_key: key } = demandBody(bodies.step, body);
    return await this.lanes.command(id, { action: 'withdraw', revision: number }, { actor, reason, key });
  }

  @Post(':policy_id/activate')
  @HttpCode(200)
  @RequirePermission('policies.activate')
  @ApiOperation({
    summary: 'Puts an approved revision in force, without a restart where the policy allows it',
    description: 'expected refuses where somebody else changed what is in force since it was looked at (412).',
  })
  @ApiBody({ schema: documented(ActivationBody) })
  async activate(
    @Param('policy_id') id: string,
    @Body() body: unknown,
    @Caller() { actor }: Principal,
  ): Promise<LaneDone> {
    const { revision: number, expected: seen, reason, idempotency_key: key } = demandBody(bodies.activation, body);
    return await this.lanes.command(
      id,
      { action: 'activate', revision: number, expected: seen },
      { actor, reason, key },
    );
  }

  @Post(':policy_id/rollback')
  @HttpCode(200)
  @RequirePermission('policies.activate')
  @ApiOperation({ summary: 'Puts a revision in force again that was before: the last one, or the one that is named' })
  @ApiBody({ schema: documented(RollbackBody) })
  async rollBack(
    @Param('policy_id') id: string,
    @Body() body: unknown,
    @Caller() { actor }: Principal,
  ): Promise<LaneDone> {
    const { revision: number, expected: seen, reason, idempotency_key: key } = demandBody(bodies.rollback, body);
    const named = number === undefined ? {} : { revision: number };
    return await this.lanes.command(id, { action: 'rollback', expected: seen, ...named }, { actor, reason, key });
  }
}

function sealedOf({ body, ...policyRev }: PolicyRev & { readonly body: JsonValue }): SealedPolicy {
  return { policy_rev: policyRev, body };
}

function numberOf(text: string | undefined, name: string): number {
  if (text !== undefined && /^[1-9][0-9]{0,14}$/.test(text)) return Number(text);
  throw new ProbityError('HTTP_REQUEST_INVALID', `${name} is the number of a revision`);
}
