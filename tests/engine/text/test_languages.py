"""Fifteen languages in one index: the expected document is among the first three."""

from __future__ import annotations

import pytest

from tests.engine.text.conftest import MakeIndex
from tests.engine.text.support import add, found

# Four documents a language; the queries ask for the first, in other forms: inflected, without diacritics, in capitals,
# misspelt, unfinished, or in part.
LANGUAGES: dict[str, list[str]] = {
    "en": [
        "The lighthouse keeper recorded every ship that passed during the storms.",
        "A baker sells fresh bread on the market square each morning.",
        "Children were playing football in the park until it became dark.",
        "The new library opens its doors to all readers of the city.",
    ],
    "de": [
        "Der Bürgermeister eröffnete die größte Brücke über den Fluss.",
        "Im Wald wachsen viele Pilze nach dem Regen.",
        "Die Schüler lesen heute ein Gedicht von Goethe.",
        "Am Bahnhof warten die Reisenden auf den Zug nach Köln.",
    ],
    "fr": [
        "Les élèves ont visité le musée où sont exposés les tableaux célèbres.",
        "Le boulanger prépare des croissants avant le lever du soleil.",
        "Une rivière traverse la vallée entre les montagnes.",
        "La bibliothèque ferme tôt pendant les vacances d'été.",
    ],
    "es": [
        "Los niños cantaron canciones antiguas en la plaza del pueblo.",
        "El pescador volvió al puerto con las redes vacías.",
        "La lluvia inundó las calles de la ciudad.",
        "Mi abuela cocina una sopa de lentejas los domingos.",
    ],
    "pt": [
        "As eleições municipais decidirão o futuro da região.",
        "O gato dorme na janela da cozinha.",
        "A praia estava cheia de turistas no verão.",
        "Ele escreveu uma carta para a irmã mais nova.",
    ],
    "ru": [
        "Ёлка стояла в углу комнаты, украшенная стеклянными игрушками.",
        "Поезд отправляется с вокзала в полночь.",
        "Учитель объяснил задачу по математике.",
        "На рынке продают свежие яблоки и груши.",
    ],
    "el": [
        "Ο φιλόσοφος δίδαξε τους μαθητές του στην αρχαία αγορά.",
        "Η θάλασσα ήταν ήρεμη το πρωί.",
        "Το καράβι έφυγε από το λιμάνι.",
        "Η γιαγιά έφτιαξε γλυκό με καρύδια.",
    ],
    "tr": [
        "İstanbul'da kitapçılar eski kitapları ucuza satıyor.",
        "Çocuklar bahçede top oynuyor.",
        "Yağmur yağınca sokaklar boşaldı.",
        "Annem akşam yemeği için balık aldı.",
    ],
    "ar": [
        "زار الطُّلابُ المكتبةَ الوطنية وقرأوا الكتب القديمة",
        "تهطل الأمطار في فصل الشتاء",
        "يلعب الأطفال في الحديقة",
        "سافر الرجل إلى المدينة بالقطار",
    ],
    "he": [
        "הסטודנטים למדו בספרייה כל הלילה לקראת המבחן",
        "הילדים שיחקו בחצר אחרי הגשם",
        "הרכבת יצאה מהתחנה בזמן",
        "אמא בישלה מרק ירקות חם",
    ],
    "hi": [
        "किसान ने खेत में गेहूँ की फसल काटी",
        "बच्चे मैदान में क्रिकेट खेल रहे हैं",
        "रेलगाड़ी समय पर स्टेशन पहुँची",
        "माँ ने शाम को खीर बनाई",
    ],
    "zh": [
        "东京大学的研究人员发现了一种新的材料",
        "今天的天气非常好，适合去公园散步",
        "他在火车站等了两个小时",
        "妈妈做的饺子很好吃",
    ],
    "ja": [
        "図書館で古い地図を探している学生がいます",
        "昨日は雨が降ったので家にいました",
        "電車は時間どおりに駅に着きました",
        "母が作ったカレーはとてもおいしい",
    ],
    "ko": [
        "도서관에서 오래된 지도를 찾는 학생이 있습니다",
        "어제는 비가 와서 집에 있었습니다",
        "기차가 제시간에 역에 도착했습니다",
        "어머니가 만든 김치는 아주 맛있습니다",
    ],
    "th": [
        "นักวิจัยค้นพบวัสดุชนิดใหม่ในห้องปฏิบัติการ",
        "วันนี้อากาศดีมากเหมาะแก่การเดินเล่น",
        "รถไฟมาถึงสถานีตรงเวลา",
        "แม่ทำอาหารเย็นให้ทุกคน",
    ],
}
QUERIES = [
    ("en", "LIGHTHOUSE"),
    ("en", "keepers of ligthhouses"),
    ("de", "groesste brucke"),
    ("de", "GRÖSSTE BRÜCKE"),
    ("de", "brücken"),
    ("fr", "musee eleves"),
    ("fr", "tableau celebre"),
    ("es", "ninos canciones"),
    ("es", "cancion antigua"),
    ("pt", "eleicoes regiao"),
    ("pt", "futuro municipal"),
    ("ru", "елка"),
    ("ru", "стеклянная игрушка"),
    ("el", "φιλοσοφος αγορα"),
    ("el", "ΦΙΛΌΣΟΦΟΣ"),
    ("tr", "istanbul kitap"),
    ("tr", "KİTAPLARI"),
    ("ar", "الطلاب المكتبه"),
    ("ar", "المكتبة"),
    ("he", "הסטודנטים בספריה"),
    ("hi", "गेहूँ की फसल"),
    ("zh", "东京大学"),
    ("zh", "新材料研究"),
    ("ja", "古い地図"),
    ("ja", "学生"),
    ("ko", "오래된 지도"),
    ("ko", "도서관"),
    ("th", "วัสดุ"),
    ("th", "นักวิจัย"),
]
FIRST = {language: 4 * place for place, language in enumerate(LANGUAGES)}
STEMMED = sorted({"en", "de", "fr", "es", "pt", "ru", "el", "tr", "ar"} & LANGUAGES.keys())


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_expected_document_is_among_the_first_three(make_index: MakeIndex, language: str) -> None:
    """In one index of all languages, a field each; stems where there are any for the language."""
    index = make_index({name: name if name in STEMMED else None for name in LANGUAGES})
    add(index, [{name: text} for name, texts in LANGUAGES.items() for text in texts])
    asked = [query for name, query in QUERIES if name == language]
    assert asked
    for query in asked:
        assert FIRST[language] in found(index, query, 3), query


def test_all_is_found_in_a_field_without_a_language(make_index: MakeIndex) -> None:
    """Where nothing was declared, the tolerance for typing errors connects the forms of these words."""
    index = make_index()
    add(index, [text for texts in LANGUAGES.values() for text in texts])
    lost = [query for language, query in QUERIES if FIRST[language] not in found(index, query, 3)]
    assert lost == []
