import { Body, Controller, Get, HttpCode, Param, Post, Req } from '@nestjs/common';
import { ApiProperty } from '@nestjs/swagger';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { Type } from 'class-transformer';
import { ArrayMinSize, IsInt, IsString, Length, Min, ValidateNested } from 'class-validator';
import type { FastifyRequest } from 'fastify';
import { Caller, RequirePermission } from '../../../../src/substrate/http/principal.js';
import { contextOf } from '../../../../src/substrate/http/telemetry.hooks.js';
import { Clock } from '../../../../src/substrate/clock/clock.port.js';
import type { Principal } from '../../../../src/substrate/identity/identity.port.js';
import type { Balance } from '../ledger/ledger.port.js';
import { TellerService } from './teller.service.js';

class DepositBody {
  @ApiProperty()
  @IsString()
  @Length(1, 64)
  deposit_id!: string;

  @ApiProperty()
  @IsString()
  @Length(1, 64)
  account!: string;

  @ApiProperty()
  @IsInt()
  @Min(1)
  minor_units!: number;
}

class DepositsBody {
  @ApiProperty({ type: [DepositBody] })
  @ArrayMinSize(1)
  @ValidateNested({ each: true })
  @Type(() => DepositBody)
  deposits!: DepositBody[];
}

@Controller('test/v1')
export class TellerController {
  constructor(
    private readonly teller: TellerService,
    private readonly clock: Clock,
  ) {}

  @Post('deposits')
  @HttpCode(200)
  @RequirePermission('test.deposit')
  async deposit(
    @Body() body: DepositsBody,
    @Req() request: FastifyRequest,
  ): Promise<{ readonly taken: number; readonly slip: string }> {
    return await this.teller.take(body.deposits, contextOf(request) ?? ROOT_CONTEXT);
  }

  @Get('balances/:account')
  @RequirePermission('test.deposit')
  async balance(
    @Param('account') account: string,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<Balance> {
    return await this.teller.balance(account, {
      caller,
      deadlineAtMs: this.clock.monotonicMs() + 5_000,
      signal: new AbortController().signal,
      trace: contextOf(request) ?? ROOT_CONTEXT,
    });
  }
}
