package mask

// kind is what a column's type is to a masker.
type kind uint8

const (
	kindOther kind = iota
	kindText
	kindEnum
	kindBool
	kindInt
	kindNumeric
	kindFloat
	kindDate
	kindTimestamp
	kindTime
	kindInterval
	kindMoney
	kindXML
	kindRange
	kindComposite
	kindUUID
	kindJSON
	kindBytea
	kindInet
	kindMAC
	kindHstore
	kindTSVector
	kindVector
	kindPoint
	kindGeometry
	kindArray
	// kindLeaf is a string, number or boolean inside JSON.
	kindLeaf
)

var kindNames = map[kind]string{
	kindText: "text, varchar, char, citext, name", kindEnum: "enums", kindBool: "boolean",
	kindInt: "smallint, integer, bigint", kindNumeric: "numeric", kindFloat: "real, double precision",
	kindDate: "date", kindTimestamp: "timestamp, timestamptz", kindTime: "time, timetz", kindInterval: "interval", kindMoney: "money", kindXML: "xml", kindRange: "ranges", kindComposite: "composite types",
	kindUUID: "uuid", kindJSON: "json, jsonb", kindBytea: "bytea", kindInet: "inet, cidr",
	kindMAC: "macaddr, macaddr8", kindHstore: "hstore", kindTSVector: "tsvector, tsquery",
	kindVector: "vector, halfvec, sparsevec", kindPoint: "point", kindGeometry: "geometry, geography", kindArray: "arrays",
}

var kindOf = map[string]kind{
	"text": kindText, "varchar": kindText, "bpchar": kindText, "citext": kindText, "name": kindText, "char": kindText,
	"bool": kindBool, "int2": kindInt, "int4": kindInt, "int8": kindInt,
	"numeric": kindNumeric, "float4": kindFloat, "float8": kindFloat,
	"date": kindDate, "timestamp": kindTimestamp, "timestamptz": kindTimestamp,
	"time": kindTime, "timetz": kindTime, "interval": kindInterval, "money": kindMoney, "xml": kindXML,
	"uuid": kindUUID, "json": kindJSON, "jsonb": kindJSON, "bytea": kindBytea,
	"inet": kindInet, "cidr": kindInet, "macaddr": kindMAC, "macaddr8": kindMAC,
	"hstore": kindHstore, "tsvector": kindTSVector, "tsquery": kindTSVector,
	"vector": kindVector, "halfvec": kindVector, "sparsevec": kindVector, "point": kindPoint,
	"geometry": kindGeometry, "geography": kindGeometry,
}

// kind of the column's type.
func (c *Column) kind() kind {
	if c.Array {
		return kindArray
	}
	return c.elementKind()
}

func (c *Column) elementKind() kind {
	switch {
	case len(c.Enum) > 0:
		return kindEnum
	case c.Range != "":
		return kindRange
	case len(c.Attributes) > 0:
		return kindComposite
	case c.Composite:
		return kindOther
	}
	return kindOf[c.BaseType]
}

// lengthLimit is the most characters of a value of the column's (element)
// type, 0 without a limit.
func (c *Column) lengthLimit() int {
	switch c.BaseType {
	case "name":
		return 63
	case "char":
		return 1
	case "varchar", "bpchar", "citext", "text":
		return c.Length
	}
	return 0
}
