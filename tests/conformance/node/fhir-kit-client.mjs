// fhir-kit-client against a server that listens; see ../test_node_clients.py. Prints each step that held.
import assert from 'node:assert/strict'
import { Client } from 'fhir-kit-client'

const { BASE, TOKEN, PATIENT } = process.env
const sample = JSON.parse(process.env.SAMPLE)
const client = new Client({ baseUrl: BASE, bearerToken: TOKEN })
const done = (name) => console.log(name)
const type = 'Observation'
const on = (day) => ({ ...sample, effectiveDateTime: `2026-03-0${day}T09:00:00+09:00` })

const statement = await client.capabilityStatement()
assert.equal(statement.fhirVersion, '4.0.1')
const smart = await client.smartAuthMetadata()
assert.match(String(smart.authorizeUrl), /\/oauth\/authorize$/)
done('capability')

const made = await client.create({ resourceType: type, body: on(1) })
const read = await client.read({ resourceType: type, id: made.id })
assert.deepEqual(read, made)
const { response } = Client.httpFor(read)
assert.equal(response.headers.get('etag'), 'W/"1"')
done('create and read')

const next = await client.update({ resourceType: type, id: made.id, body: { ...read, status: 'amended' } })
assert.equal(next.meta.versionId, '2')
assert.equal((await client.vread({ resourceType: type, id: made.id, version: '1' })).status, 'final')
done('update and vread')

const jsonPatch = [{ op: 'replace', path: '/status', value: 'corrected' }]
const patched = await client.patch({ resourceType: type, id: made.id, jsonPatch })
assert.equal(patched.status, 'corrected')
done('patch')

const history = await client.history({ resourceType: type, id: made.id })
assert.deepEqual(history.entry.map((e) => e.resource.meta.versionId), ['3', '2', '1'])
assert.ok((await client.history({ resourceType: type })).entry.length >= 3)
assert.ok((await client.history()).entry.length >= 3)
done('history')

for (let day = 2; day <= 7; day++) await client.create({ resourceType: type, body: on(day) })
let page = await client.search({ resourceType: type, searchParams: { patient: PATIENT, _sort: 'date', _count: 3 } })
const days = []
while (page) {
  days.push(...page.entry.map((e) => e.resource.effectiveDateTime.slice(9, 10)))
  page = await client.nextPage({ bundle: page })
}
assert.equal(days.join(''), '1234567')
done('search in pages')

const searchParams = { 'subject:Patient.birthdate': 'lt2030', _include: 'Observation:subject', _count: 2 }
const chained = await client.search({ resourceType: type, searchParams })
assert.deepEqual(chained.entry.map((e) => e.search.mode), ['match', 'match', 'include'])
const has = await client.search({ resourceType: 'Patient', searchParams: { '_has:Observation:patient:code': '29463-7' } })
assert.deepEqual(has.entry.map((e) => e.resource.id), [PATIENT])
const within = await client.search({ resourceType: type, compartment: { resourceType: 'Patient', id: PATIENT }, searchParams: {} })
assert.equal(within.entry.length, 7)
done('chain, _has, _include, compartment')

const entry = [1, 2].map((day) => ({ resource: on(day), request: { method: 'POST', url: type } }))
const transaction = await client.transaction({ body: { resourceType: 'Bundle', type: 'transaction', entry } })
assert.deepEqual(transaction.entry.map((e) => e.response.status.slice(0, 3)), ['201', '201'])
const wrong = { resource: { ...on(1), status: 'nonsense' }, request: { method: 'POST', url: type } }
const batch = await client.batch({ body: { resourceType: 'Bundle', type: 'batch', entry: [entry[0], wrong] } })
assert.deepEqual(batch.entry.map((e) => e.response.status.slice(0, 3)), ['201', '400'])
done('transaction and batch')

const everything = await client.operation({ name: 'everything', resourceType: 'Patient', id: PATIENT, method: 'GET' })
assert.equal(everything.entry.length, 11)
const input = { url: 'http://hl7.org/fhir/ValueSet/administrative-gender' }
const codes = await client.operation({ name: '$expand', resourceType: 'ValueSet', method: 'GET', input })
assert.equal(codes.expansion.total, 4)
done('operations')

await client.delete({ resourceType: type, id: made.id })
await assert.rejects(client.read({ resourceType: type, id: made.id }), (e) => e.response.status === 410)
await assert.rejects(client.read({ resourceType: type, id: 'none' }), (e) => e.response.data.issue[0].code === 'not-found')
done('delete and refusals')
