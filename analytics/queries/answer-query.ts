import type { Answer, QueryName, QueryParameters } from '../../schemas/api.ts'
import { answerCoverage } from './coverage.ts'
import { answerEconomies } from './economies.ts'
import { answerFlows } from './flows.ts'
import { answerPorts } from './ports.ts'
import type { QueryContext } from './request.ts'
import { answerSensors } from './sensors.ts'
import { answerSources } from './sources.ts'
import { answerTraffic } from './traffic.ts'

type Answers = { [N in QueryName]: (context: QueryContext, parameters: QueryParameters<N>) => Promise<Answer<N>> }

const ANSWERS: Answers = {
  traffic: answerTraffic,
  ports: answerPorts,
  sources: answerSources,
  economies: answerEconomies,
  sensors: answerSensors,
  coverage: answerCoverage,
  flows: answerFlows,
}

/** See Storage.query. */
export function answerQuery<N extends QueryName>(
  name: N,
  context: QueryContext,
  parameters: QueryParameters<N>,
): Promise<Answer<N>> {
  return ANSWERS[name](context, parameters)
}
