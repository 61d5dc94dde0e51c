import { Body, Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Type } from '@sinclair/typebox';
import { DigestSchema } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { RunIdSchema } from '../../rails/pins.js';
import { closed } from '../../rails/schema.js';
import { validatorOf } from '../../rails/validator.js';
import { RequirePermission } from '../../substrate/http/principal.js';
import { documented } from '../../substrate/http/requests.js';
import { type Verification, VerificationService } from './verification.service.js';

const RequestSchema = closed({
  run_id: RunIdSchema,
  decision_id: Type.Optional(DigestSchema),
  counterfactual: Type.Optional(
    closed({
      rules: Type.Optional(Type.Object({}, { description: 'body of a policy df.rules' })),
      bundles: Type.Optional(
        Type.Object(
          {},
          { description: 'bundles that are supposed to be active: {active: {digest, bundle}, stage2, shadow}' },
        ),
      ),
      features: Type.Optional(Type.Object({}, { description: 'body of a policy ofp.features' })),
      policy: Type.Optional(Type.Object({}, { description: 'body of a policy df.decision' })),
    }),
  ),
});
const requests = validatorOf(RequestSchema, 'the request');

@ApiTags('proofs')
@Controller('v1/verifications')
export class VerificationController {
  constructor(private readonly verifications: VerificationService) {}

  @Post()
  @HttpCode(202)
  @RequirePermission('decision.verify')
  @ApiOperation({
    summary: 'Makes the decisions of a run again from the bus, and compares them byte for byte',
    description:
      'With decision_id that one alone. With counterfactual: what other rules, bundles, feature definitions or another policy would have made of the same events; nothing of it is ever in force.',
  })
  @ApiBody({ schema: documented(RequestSchema) })
  start(@Body() body: unknown): Verification {
    const checked = requests.check(body);
    if (!checked.ok) throw new ProbityError('DF_REQUEST_INVALID', `${checked.fault.at || '/'} ${checked.fault.says}`);
    return this.verifications.start(checked.value);
  }

  @Get(':verification_id')
  @RequirePermission('decision.verify')
  @ApiOperation({ summary: 'How far a verification is, or what it found' })
  find(@Param('verification_id') id: string): Verification {
    return this.verifications.find(id);
  }
}
