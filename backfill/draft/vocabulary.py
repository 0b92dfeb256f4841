"""What shops call their columns, in the languages that exports come in."""

import re
import unicodedata
from typing import Final, Literal

Role = Literal[
    "order",
    "line_id",
    "customer",
    "phone",
    "first_name",
    "last_name",
    "name",
    "company",
    "address1",
    "address2",
    "city",
    "zip",
    "region",
    "country",
    "zone",
    "ordered",
    "cancelled",
    "fulfilled",
    "refunded",
    "clock",
    "quantity",
    "price",
    "row_total",
    "sku",
    "product_id",
    "product",
    "category",
    "brand",
    "url",
    "image",
    "total",
    "subtotal",
    "shipping",
    "tax",
    "discount",
    "discount_code",
    "refund",
    "currency",
    "status",
    "shop",
]

_ORDER: Final = (
    r"(?:order|orders|invoice|inv|bestell|bestellung|auftrag|auftrags|rechnungs?|beleg|pedido|"
    r"orden|"
    r"venta|compra|commande|facture|ordine|ordre|bestelling|zamowienia|objednavky|receipt|purchase|"
    r"transaction|trans|sale|sales order|sales|checkout|ticket|basket)"
)
_ID: Final = (
    r"(?:id|ids|no|nr|num|number|nummer|numero|name|key|code|ref|reference|increment id|uuid)"
)
_ITEM: Final = (
    r"(?:line ?item|item|product|article|artikel|produkt|producto|produto|produit|prodotto)"
)
_DAY: Final = (
    r"(?:date|at|on|time|date time|datetime|datum|zeit|fecha|data|timestamp|ts|day|date utc|utc)"
)
_PERSON: Final = (
    r"(?:customer|cust|client|user|member|buyer|shopper|account|contact|person|profile|kunden?|cliente|"
    r"comprador|acheteur|klant|patron|guest|consumer|subscriber)"
)
_OF: Final = r"(?: de| do| da| del| der| des| la| du)*"

PATTERNS: Final[dict[Role, tuple[str, ...]]] = {
    "order": (
        rf"(?:sales |shop |web |customer |original |parent )?{_ORDER} ?{_ID}(?: ?v[0-9])?"
        rf"|(?:numero|n|no|nr|id|num){_OF} ?{_ORDER}",
        rf"{_ORDER}|increment id|number|entity id",
        r"id|no|name|nr|nummer|numero|reference|ref|key|uuid",
        rf".*\b{_ORDER} .*{_ID}",
    ),
    "line_id": (
        rf"(?:.*\b)?(?:{_ORDER} ?)?(?:line|position|pos|row)(?: ?{_ITEM})?"
        r"(?: ?(?:id|no|nr|num|number|nummer|index))?",
        rf"(?:{_ORDER} )?(?:line ?item|item|order item|detail) ?(?:id|no|nr|num|number|index|seq)"
        rf"|line ?item",
    ),
    "customer": (
        rf"{_PERSON} ?(?:unique ?)?(?:id|no|nr|num|number|nummer|numero|key|code|uid|uuid)",
        rf"(?:id|numero|nr|no|codigo|code){_OF} ?{_PERSON}",
        rf"{_PERSON}",
        rf".*\b{_PERSON} ?(?:id|no|nr|number|nummer|key|uid|uuid)",
    ),
    "phone": (
        rf"(?:{_PERSON} )?(?:tele)?(?:phone|tel|telefon|telefono|telephone|mobile|cell|handy|gsm|"
        rf"movil|"
        r"celular|whatsapp|telefone|cellulare|telefoon)(?: ?(?:no|nr|number|nummer|numero))?",
        r"bill(?:ing|to)?\b.*(?:phone|tel\b|telefon|mobile).*",
        r".*(?:phone|telefon|telephone|mobile|celular|movil|whatsapp).*",
    ),
    "first_name": (
        rf"(?:{_PERSON} ?)?(?:first ?name|given ?name|vorname|prenom|forename|fname|voornaam|"
        rf"nome proprio)",
        r"bill(?:ing|to)?\b.*(?:first ?name|vorname|prenom|fname)",
    ),
    "last_name": (
        rf"(?:{_PERSON} ?)?(?:last ?name|family ?name|surname|nachname|apellidos?|sobrenome|"
        rf"cognome|lname|"
        r"achternaam|nom de famille)",
        r"bill(?:ing|to)?\b.*(?:last ?name|nachname|surname|lname)",
    ),
    "name": (
        rf"(?:{_PERSON}|full|buyer) ?(?:full )?name|full ?name|customer",
        rf"nombre(?:{_OF} {_PERSON})?|nom(?:{_OF} {_PERSON})?|nome(?:{_OF} {_PERSON})?|kundenname",
        r"bill(?:ing|to)?(?: to)? ?(?:full )?name|nombre del comprador|recipient name",
        r"name",
    ),
    "company": (r"(?:.* )?(?:company|organi[sz]ation|firma|empresa|societe|azienda)(?: name)?",),
    "address1": (
        r"(?:.* )?(?:address|street|address ?(?:line ?)?1|adresse|strasse|direccion|endereco|rue|"
        r"indirizzo|street ?address)(?: 1)?",
    ),
    "address2": (r"(?:.* )?address ?(?:line )?2",),
    "city": (
        r"city|ciudad|stadt|ort|ville|cidade|citta|town|localidad|plaats|customer city",
        r"bill(?:ing|to)?\b.*(?:city|town|ciudad|ort|ville)",
        r"(?:ship(?:ping|to)?|delivery)\b.*(?:city|town|ciudad|ort|ville)",
    ),
    "zip": (
        rf"(?:{_PERSON} )?zip(?: ?code)?(?: prefix)?|post(?:al)? ?code"
        r"|postcode|plz|codigo postal|code postal|cep|cap",
        r"bill(?:ing|to)?\b.*(?:zip(?: ?code)?|post(?:al)? ?code|postcode|plz)",
        r"(?:ship(?:ping|to)?|delivery)\b.*(?:zip(?: ?code)?|post(?:al)? ?code|postcode|plz)",
    ),
    "region": (
        r"region|state|province|provincia|estado|bundesland|county|customer state",
        r"bill(?:ing|to)?\b.*(?:region|state|province|provincia)(?: code)?",
        r"(?:ship(?:ping|to)?|delivery)\b.*(?:region|state|province|provincia)(?: code)?",
    ),
    "country": (
        r"(?:customer )?(?:country|land|pais|pays|paese|nation|kraj)(?: ?(?:code|name|iso|iso2))?",
        r"bill(?:ing|to)?\b.*(?:country|land|pais)(?: ?(?:code|name))?",
        r"(?:ship(?:ping|to)?|delivery)\b.*(?:country|land|pais)(?: ?(?:code|name))?",
    ),
    "zone": (r"(?:.* )?(?:time ?zone|tz|zeitzone|zona horaria)(?: name)?",),
    "ordered": (
        rf"(?:sales )?(?:{_ORDER}|ordered|placed|purchased|transaction) ?(?:created )?{_DAY}"
        rf"(?: (?:gmt|utc))?|{_ORDER} ?(?:created|placed)(?: {_DAY})?|fecha{_OF} {_ORDER}"
        rf"|date{_OF} {_ORDER}|data{_OF} {_ORDER}|bestelldatum|ordered|purchased",
        rf"(?:created|create|creation|date created|created date|creado|erstellt)(?: ?{_DAY})?"
        rf"|{_DAY} ?(?:created|placed|ordered)|fecha|datum|date|data|created utc|created date utc",
        r"(?:paid|payment|processed|completed|closed|bezahlt|pago|captured) ?(?:at|on|date|time)"
        r"|date ?paid|fecha de pago|timestamp|time|datetime|ts|day|event time",
        rf".*(?:order|purchase|created|placed|invoice|sale).*\b{_DAY}",
    ),
    "cancelled": (r".*(?:cancel|storn|annul|anulad|annulla).*",),
    "fulfilled": (
        r".*(?:fulfil|shipped|dispatch|despatch|versandt|verschickt|enviad|expedi|spedi).*",
        r".*(?:ship|shipment|shipping|versand|envio|delivered|delivery) ?(?:date|at|on|datum|"
        r"time).*",
        r"fecha de envio|versanddatum|delivered(?: at)?|.*handed over.*",
    ),
    "refunded": (r".*(?:refund|erstatt|reembols|rembours|rimbors).*",),
    "clock": (r"(?:.* )?(?:time|hour|uhrzeit|zeit|hora|heure|ora)",),
    "quantity": (
        rf"(?:{_ORDER} |{_ITEM} )?(?:qty|quantity|menge|anzahl|cantidad|quantite|quantita|qtd|"
        rf"quantidade|"
        rf"aantal|units|pcs|pieces|stueck)(?:{_OF} ?(?:{_ITEM}|ordered|sold|purchased))?"
        r"|units sold",
        r".*\b(?:qty|quantity|cantidad|menge)\b.*",
    ),
    "price": (
        rf"(?:{_ITEM} |unit |units? |selling |sale |net |gross |list |single )*"
        rf"(?:price|preis|precio|prix|prezzo|preco|prijs|einzelpreis|stueckpreis|cost per unit)"
        rf"(?:{_OF} ?(?:{_ITEM}|each|unit|per unit|each unit|unitario|unitaire|amount|value))?"
        rf"|precio unitario|valor unitario|unit amount|price point|(?:unit|item) cost|rate",
    ),
    "row_total": (
        rf"(?:{_ITEM} |line |row |extended |ext |{_ORDER} line )+(?:item )?"
        r"(?:total|amount|price|subtotal|sub total|sales|revenue|value|net|gross)(?: price|"
        r" amount)?",
        rf"(?:gross|net|total) sales|{_ITEM} ?(?:total|revenue|sales|subtotal)|"
        rf"subtotal{_OF} {_ITEM}"
        rf"|positionssumme|zeilensumme|total{_OF} linea",
    ),
    "sku": (
        rf"(?:{_ITEM} |variant |lineitem )*sku(?: ?code)?|stock ?code|artikelnummer|artikel ?nr|"
        rf"item ?no",
        rf"{_ITEM} ?(?:code|number|nummer|no|nr|ref|reference)|codigo{_OF} {_ITEM}|ean|upc|"
        rf"barcode|asin"
        rf"|part ?(?:no|number)|referencia|reference produit",
    ),
    "product_id": (rf"(?:{_ITEM}|variant) ?(?:id|key|uuid)|id{_OF} {_ITEM}",),
    "product": (
        rf"(?:line ?)?{_ITEM} ?(?:name|title|description|bezeichnung)|(?:nombre|nom|"
        rf"nome){_OF} {_ITEM}"
        rf"|artikelbezeichnung|produktname|artikelname",
        rf"{_ITEM}s?|description|beschreibung|bezeichnung|descripcion|title|titel|titulo|"
        rf"sku name|desc",
        rf".*\b{_ITEM} .*(?:name|title|description).*",
        r"variant(?: (?:name|title))?",
    ),
    "category": (
        rf"(?:{_ITEM} )?(?:category|categories|product type|kategorie|categoria|categorie|"
        rf"department|"
        rf"collection)(?: name)?",
    ),
    "brand": (r"(?:.* )?(?:brand|vendor|manufacturer|marke|marca|marque|hersteller)(?: name)?",),
    "url": (rf"{_ITEM} ?(?:url|link)|url",),
    "image": (rf"(?:{_ITEM} )?(?:image|picture|photo|thumbnail|img)(?: ?(?:url|link|src))?",),
    "total": (
        rf"grand ?total.*|{_ORDER} ?(?:grand )?total(?: price| amount| paid)?"
        rf"|total{_OF} ?(?:{_ORDER}|price|amount|paid|charged|value|incl.*|due)|gesamt(?:betrag|"
        rf"summe|preis)"
        rf"|total|totals|importe total|montant total|valor total|totale(?: ordine)?|amount paid"
        rf"|total (?:price|amount) (?:cents|in cents)",
        rf"{_ORDER} ?(?:amount|value|sum|revenue)(?: price| amount| paid)?",
        r"amount(?: cents)?|revenue|gross|betrag|summe|importe|montant|valor|value|net|turnover|"
        r"umsatz"
        r"|sales(?: amount)?|price|gmv|bruttobetrag|spend|paid|charged",
        r".*\b(?:total|amount|revenue)\b.*",
    ),
    "subtotal": (r"(?:.* )?(?:sub ?total|zwischensumme|net total|nettosumme)(?: .*)?",),
    "shipping": (
        r"(?:total |order )?(?:shipping|freight|delivery|postage|versand|versandkosten|envio|"
        r"frete|porto)"
        r"(?: and handling)?(?: ?(?:cost|costs|price|amount|fee|total|charge|charged|paid|kosten))?"
        r"|costo de envio|frais de port|valor del envio|custo de envio",
    ),
    "tax": (
        r"(?:total |order |sales )?(?:tax|taxes|vat|mwst|ust|steuer|iva|tva|gst|btw)"
        r"(?: ?(?:amount|total|value|sum|betrag))?|impuestos?",
    ),
    "discount": (
        r"(?:total |order |cart )?(?:discounts?|rabatt|descuentos?|remise|sconto|desconto)"
        r"(?: ?(?:amount|total|value|sum|betrag))?",
    ),
    "discount_code": (
        r"(?:discount|coupon|promo|promotion|voucher|gutschein) ?(?:code|codes|coupon|name)?s?"
        r"|rabattcode|cupon(?: de descuento)?|gutscheincode|codigo de descuento",
    ),
    "refund": (
        r"(?:total |amount |order )?(?:refund|refunded|refunds|erstattung|reembolso)"
        r"(?: ?(?:amount|total|value|betrag))?|amount refunded|total refunded",
    ),
    "currency": (
        r"(?:order |.* )?(?:currency|waehrung|wahrung|moneda|devise|valuta|moeda|iso currency)"
        r"(?: ?(?:code|iso))?",
    ),
    "status": (
        rf"(?:{_ORDER} )?(?:status|state|zustand|estado|stato|etat)(?:{_OF} ?{_ORDER})?",
        r"(?:financial|payment) ?status|.*\bstatus",
    ),
    "shop": (
        r"(?:shop|store|website|storefront|brand|market|marketplace|sales ?channel|channel|tienda|"
        r"purchase point|site|company|country|filiale|branch|region)(?: ?(?:name|id|code|key))?",
    ),
}
"""From the surest to the vaguest; the whole normal form of a header has to match."""

NOT: Final[dict[Role, str]] = {
    "order": r"\b(?:line|item|items|product|customer|user|client|date|status|total|row)\b",
    "customer": r"\b(?:group|type|note|segment|service|status|since)\b",
    "ordered": r"\b(?:update|updated|modified|due|birth|birthday|dob|cancel\w*|refund\w*|ship\w*|"
    r"deliver\w*|fulfil\w*|expir\w*|register\w*|signup|zone)\b",
    "name": r"\b(?:product|item|company|file|user|shop|store|first|last|sur)\b",
    "total": r"\b(?:tax|taxes|vat|shipping|ship|freight|discount|discounts|refund|refunded|sub|"
    r"qty|quantity|items|item|weight|line|outstanding|balance|tip|tips|fee|fees|cost|converted|subtotal|"
    r"margin|unit|"
    r"count|number|products|delivery|handling|duties|points|orders|outstanding|lifetime|spent|"
    r"row)\b",
    "quantity": r"\b(?:refunded|returned|cancelled|canceled|shipped|stock)\b",
    "price": r"\b(?:compare|total|row|line|list)\b",
    "sku": r"\b(?:order|customer|phone)\b",
    "product": r"\b(?:id|price|qty|quantity|sku|code|type|url|image|category|tax)\b",
    "phone": r"\b(?:type|verified|consent|model)\b",
    "fulfilled": r"\b(?:status|estimated|expected|promised|planned|method|cancel\w*)\b",
    "cancelled": r"\b(?:reason|status|by)\b",
    "refunded": r"\b(?:reason|status|by)\b",
    "status": r"\b(?:marketing|subscription|fulfil\w*|ship\w*|tax|email)\b",
}
"""What a header of this role does not hold."""

LINE_ROLES: Final[tuple[Role, ...]] = (
    "line_id",
    "sku",
    "product_id",
    "product",
    "quantity",
    "price",
    "row_total",
    "category",
    "brand",
    "url",
    "image",
)

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_UMLAUTS: Final = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "ł": "l", "№": "no"})


def normal(header: str) -> str:
    """``SalesOrderID``, ``sales_order_id`` and ``Sales order ID:`` are one: ``sales order id``."""
    spaced = _CAMEL.sub(" ", header).translate(_UMLAUTS)
    plain = unicodedata.normalize("NFKD", spaced.casefold())
    letters = "".join(sign for sign in plain if not unicodedata.combining(sign))
    name = " ".join(re.findall(r"[^\W_]+", letters.replace("#", " number ")))
    name = re.sub(r"^(.+) (billing|shipping)$", r"\2 \1", name)  # First Name (Billing)
    return re.sub(r"^[oclp] (?=[a-z])", "", name)  # o_orderkey, l_quantity


def rank(role: Role, header: str) -> int | None:
    """How surely a header names this role: 0 is the surest, None is not at all."""
    name = normal(header)
    unfit = NOT.get(role)
    if unfit and re.search(unfit, name):
        return None
    for at, pattern in enumerate(PATTERNS[role]):
        if re.fullmatch(pattern, name):
            return at
    return None


def side(header: str) -> Literal["", "billing", "shipping"]:
    """Whose address a column belongs to."""
    name = normal(header)
    if re.match(r"bill(?:ing|to)?\b|rechnungs", name):
        return "billing"
    if re.match(r"ship(?:ping|to)?\b|delivery\b|liefer|versand|envio", name):
        return "shipping"
    return ""
